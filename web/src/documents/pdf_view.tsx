/** The page of a PDF on which a passage stands, the passage marked, with the pages before and behind it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { message } from "../api/client";
import { fileBytes } from "../api/documents";
import { Icon } from "../ui/icons";
import { type Box, draw, openPdf, pageOf } from "./pdf";

type Pdf = Awaited<ReturnType<typeof openPdf>>;

interface Props {
  file: string;
  page: number | null;
  quote: string;
  turned: (page: number) => void;
}

export default function PdfView({ file, page, quote, turned }: Props) {
  const pdf = useSignal<Pdf | null>(null);
  const at = useSignal(page ?? 1);
  const error = useSignal("");
  useEffect(() => {
    let gone = false;
    const open = async () => {
      const opened = await openPdf(await fileBytes(file));
      if (gone) return void opened.loadingTask.destroy();
      at.value = await pageOf(opened, quote, page);
      pdf.value = opened;
    };
    open().catch((failed) => (error.value = message(failed)));
    return () => {
      gone = true;
      void pdf.value?.loadingTask.destroy();
    };
  }, []);
  useEffect(() => turned(at.value), [at.value]);
  const turn = (by: number) => (at.value = Math.min(pdf.value!.numPages, Math.max(1, at.value + by)));
  if (error.value) return <p class="error" role="alert">{error.value}</p>;
  if (!pdf.value) return <p class="dim">Loading …</p>;
  return (
    <>
      <div class="row pdf-pages">
        <button type="button" class="quiet" aria-label="The page before" disabled={at.value <= 1} onClick={() => turn(-1)}>
          <Icon name="left" />
        </button>
        <span class="dim" aria-live="polite">
          Page {at.value} of {pdf.value.numPages}
        </span>
        <button type="button" class="quiet" aria-label="The next page" disabled={at.value >= pdf.value.numPages} onClick={() => turn(1)}>
          <Icon name="right" />
        </button>
      </div>
      <Sheet key={at.value} pdf={pdf.value} page={at.value} quote={quote} error={(told) => (error.value = told)} />
    </>
  );
}

function Sheet({ pdf, page, quote, error }: { pdf: Pdf; page: number; quote: string; error: (told: string) => void }) {
  const boxes = useSignal<Box[]>([]);
  const canvas = useRef<HTMLCanvasElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const show = async () => {
      const drawn = await draw(await pdf.getPage(page), canvas.current!, sheet.current!.clientWidth, quote);
      boxes.value = drawn.boxes;
    };
    show().catch((failed) => error(message(failed)));
  }, []);
  useEffect(() => sheet.current?.querySelector(".pdf-mark")?.scrollIntoView({ block: "center" }), [boxes.value]);
  return (
    <div class="pdf-scroll" tabIndex={0} role="region" aria-label="The page">
      <div class="pdf-sheet" ref={sheet}>
        <canvas ref={canvas} role="img" aria-label={`Page ${page}${boxes.value.length ? ", with the passage marked" : ""}`} />
        {boxes.value.map(({ left, top, width, height }, i) => (
          <span key={i} class="pdf-mark" style={{ left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` }} />
        ))}
      </div>
    </div>
  );
}
