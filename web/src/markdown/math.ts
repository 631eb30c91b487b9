/** Formulas, by KaTeX as MathML, which browsers draw themselves: no fonts, no inline styles. Loaded with the first formula. */
import { signal } from "@preact/signals";
import type { TokenizerAndRendererExtension, Tokens } from "marked";

type Katex = { renderToString(source: string, options: object): string };
const library = signal<Katex | null>(null);
let loading = false;

const BLOCK = /^(?:\$\$([\s\S]+?)\$\$|\\\[([\s\S]+?)\\\])/;
const INLINE = /^(?:\$(?![\s$])((?:\\.|[^$\\\n])+?)(?<!\s)\$(?!\d)|\\\(([\s\S]+?)\\\))/;

export function mathExtensions(draw: (source: string, display: boolean) => string): TokenizerAndRendererExtension[] {
  return [extension("math", "block", BLOCK, draw), extension("formula", "inline", INLINE, draw)];
}

function extension(name: string, level: "block" | "inline", pattern: RegExp, draw: (source: string, display: boolean) => string): TokenizerAndRendererExtension {
  return {
    name,
    level,
    start: (text: string) => {
      const at = text.search(level === "block" ? /\$\$|\\\[/ : /\$|\\\(/);
      return at < 0 ? undefined : at;
    },
    tokenizer(text: string) {
      const found = pattern.exec(text);
      return found ? { type: name, raw: found[0], text: (found[1] ?? found[2] ?? "").trim() } : undefined;
    },
    renderer: (token: Tokens.Generic) => draw(String(token["text"]), level === "block"),
  };
}

/** HTML. A component that calls it is drawn again when the library has come. */
export function formula(source: string, display: boolean): string {
  if (!loading) {
    loading = true;
    void import("katex").then((found) => (library.value = found.default as unknown as Katex));
  }
  const plain = `<code class="math">${source.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</code>`;
  const drawn = library.value?.renderToString(source, { displayMode: display, output: "mathml", throwOnError: false, trust: false, maxExpand: 200 });
  return display ? `<div class="formula">${drawn ?? plain}</div>` : (drawn ?? plain);
}
