/** PDFs drawn by pdf.js, which comes only when one is opened. Nothing in them runs: no scripts, no forms, no links. */
import { getDocument, GlobalWorkerOptions, type PDFDocumentProxy, type PDFPageProxy, Util } from "pdfjs-dist";
import worker from "pdfjs-dist/build/pdf.worker.min.mjs?url";
import jbig2 from "pdfjs-dist/wasm/jbig2_nowasm_fallback.js?url";
import jpeg2000 from "pdfjs-dist/wasm/openjpeg_nowasm_fallback.js?url";
import { quoteRuns } from "./quote_runs";

GlobalWorkerOptions.workerSrc = worker;
/** Where both decoders lie, which need no WebAssembly: the page's policy forbids it. */
const [DECODERS] = [jbig2, jpeg2000].map((url) => new URL(".", new URL(url, location.href)).href);

export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** Raises where the bytes are no PDF. */
export function openPdf(data: ArrayBuffer): Promise<PDFDocumentProxy> {
  const { promise } = getDocument({ data, ...(DECODERS && { wasmUrl: DECODERS }), useWasm: false, enableXfa: false, stopAtErrors: false, verbosity: 0 });
  return promise;
}

/** The first page, from `page` on and around it, on which the quote stands; `page` where it stands on none. Pages count from 1. */
export async function pageOf(pdf: PDFDocumentProxy, quote: string, page: number | null): Promise<number> {
  const asked = page ?? 1;
  const near = page === null ? Array.from({ length: pdf.numPages }, (_, i) => i + 1) : [page, page + 1, page - 1];
  for (const number of near.filter((one) => one >= 1 && one <= pdf.numPages)) {
    const runs = await runsOf(await pdf.getPage(number));
    if (quoteRuns(runs.map(({ str }) => str), quote).length) return number;
  }
  return Math.min(asked, pdf.numPages);
}

/** Draws the page as wide as `width` pixels of CSS. Returns its height and where the quote stands on it, in the same. */
export async function draw(page: PDFPageProxy, canvas: HTMLCanvasElement, width: number, quote: string): Promise<{ height: number; boxes: Box[] }> {
  const scale = width / page.getViewport({ scale: 1 }).width;
  const viewport = page.getViewport({ scale });
  const sharp = Math.min(window.devicePixelRatio || 1, 2);
  canvas.width = Math.floor(viewport.width * sharp);
  canvas.height = Math.floor(viewport.height * sharp);
  const transform = sharp === 1 ? {} : { transform: [sharp, 0, 0, sharp, 0, 0] };
  await page.render({ canvas, viewport, ...transform }).promise;
  return { height: viewport.height, boxes: await boxesOf(page, viewport.transform, scale, quote) };
}

async function boxesOf(page: PDFPageProxy, transform: number[], scale: number, quote: string): Promise<Box[]> {
  const runs = await runsOf(page);
  return quoteRuns(runs.map(({ str }) => str), quote).map(({ run, from, to }) => {
    const { width, transform: own } = runs[run]!;
    const [a, b, , d, left, bottom] = Util.transform(transform, own) as [number, number, number, number, number, number];
    const height = Math.hypot(a, b) || Math.abs(d);
    return { left: left + from * width * scale, top: bottom - height, width: (to - from) * width * scale, height: height * 1.2 };
  });
}

async function runsOf(page: PDFPageProxy) {
  return (await page.getTextContent()).items.filter((item) => "str" in item);
}
