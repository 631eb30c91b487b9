/** Colours of code, by highlight.js, which is loaded with the first block of code. */
import { signal } from "@preact/signals";
import type { HLJSApi } from "highlight.js";

const MOST = 60_000; // characters; longer ones stay plain
const library = signal<HLJSApi | null>(null);
let loading = false;

function load(): void {
  if (loading) return;
  loading = true;
  void import("./languages").then((found) => (library.value = found.default));
}

/** HTML. A component that calls it is drawn again when the library has come. */
export function highlighted(text: string, language: string): string {
  const found = library.value;
  if (!found) load();
  if (!found || text.length > MOST || !found.getLanguage(language)) {
    return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  }
  return found.highlight(text, { language, ignoreIllegals: true }).value;
}
