/** The reader: the passage that a citation names, its exact words marked, in the text around it or on the page of its PDF. */
import { useSignal } from "@preact/signals";
import { lazy, Suspense } from "preact/compat";
import { useEffect, useRef } from "preact/hooks";
import { message } from "../api/client";
import { fileText, type FileText } from "../api/documents";
import { Icon } from "../ui/icons";
import { reading } from "./reading";
import { AROUND, split, windowAround } from "./reading_window";

const PdfView = lazy(() => import("./pdf_view"));

export function Reader() {
  const source = reading.value;
  if (!source) return null;
  return <Open key={`${source.file_id} ${source.start} ${source.end}`} />;
}

function Open() {
  const source = reading.value!;
  const passage = { start: source.start ?? 0, end: source.end ?? 0 };
  const shown = useSignal<FileText | null>(null);
  const error = useSignal("");
  const mark = useRef<HTMLElement>(null);
  const closing = useRef<HTMLButtonElement>(null);
  const isPdf = source.filename.toLowerCase().endsWith(".pdf");
  const asPage = useSignal(isPdf);
  const page = useSignal(source.page ?? null);
  const load = async (start: number, end: number) => {
    try {
      const { characters } = shown.value ?? (await fileText(source.vector_store_id, source.file_id, start, start));
      const span = windowAround({ start, end }, characters);
      shown.value = await fileText(source.vector_store_id, source.file_id, span.start, span.end);
    } catch (failed) {
      error.value = message(failed);
    }
  };
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    closing.current?.focus();
    void load(passage.start, passage.end);
    return () => before?.focus();
  }, []);
  useEffect(() => mark.current?.scrollIntoView({ block: "center" }), [shown.value === null, asPage.value]);
  const close = () => (reading.value = null);
  const text = shown.value;
  const [before, exact, behind] = text ? split(text.text, text.start, passage) : ["", "", ""];
  return (
    <aside class="panel reader" aria-label={`The document ${source.filename}`} onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), close())}>
      <header class="panel-head">
        <div class="grow">
          <h2>{source.filename}</h2>
          <p class="dim">{where(page.value, asPage.value ? null : text)}</p>
        </div>
        {isPdf && (
          <button type="button" class="chip" aria-pressed={!asPage.value} onClick={() => (asPage.value = !asPage.value)}>
            Its text
          </button>
        )}
        <button ref={closing} type="button" class="quiet" aria-label="Close the document" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      {!text && !error.value && <p class="dim">Loading …</p>}
      {text && asPage.value && (
        <Suspense fallback={<p class="dim">Loading …</p>}>
          <PdfView file={source.file_id} page={source.page ?? null} quote={source.quote ?? exact} turned={(at) => (page.value = at)} />
        </Suspense>
      )}
      {text && !asPage.value && (
        <div class="document" tabIndex={0} role="document" aria-label="Its text">
          {text.start > 0 && (
            <button type="button" class="text" onClick={() => void load(text.start, Math.max(text.start, text.end - AROUND))}>
              Show what stands before
            </button>
          )}
          <div class="document-text">
            {before}
            {exact && <mark ref={mark}>{exact}</mark>}
            {behind}
          </div>
          {text.end < text.characters && (
            <button type="button" class="text" onClick={() => void load(Math.min(text.end, text.start + AROUND), text.end)}>
              Show what follows
            </button>
          )}
        </div>
      )}
    </aside>
  );
}

function where(page: number | null | undefined, text: FileText | null): string {
  const share = text && text.characters ? `${Math.round((100 * text.start) / text.characters)} % into the document` : "";
  return [page != null ? `page ${page}` : "", share].filter(Boolean).join(" · ");
}
