/**
 * Markdown of models, documents and tools to HTML that can do no harm: HTML in it is shown as text, pictures are named and not loaded,
 * links are buttons that ask first, and DOMPurify looks at the whole once more.
 */
import DOMPurify from "dompurify";
import { Marked, type Token, type Tokens } from "marked";
import { highlighted } from "./highlight";
import { formula, mathExtensions } from "./math";

const MARK = /\uE000(\d+)\uE001/g; // where a citation stands
export const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");

export function citationMark(number: number): string {
  return `\uE000${number}\uE001`;
}

export function withoutMarks(text: string): string {
  return text.replace(/[\uE000\uE001]/g, "");
}

export function safeAddress(address: string): string | null {
  try {
    const { protocol, href } = new URL(address);
    return ["https:", "http:", "mailto:"].includes(protocol) ? href : null;
  } catch {
    return null;
  }
}

const marked = new Marked({ gfm: true, breaks: false, async: false });
marked.use({
  extensions: mathExtensions((source, display) => formula(source, display)),
  renderer: {
    html: ({ text }: Tokens.HTML | Tokens.Tag) => escaped(text),
    link({ href, tokens }: Tokens.Link) {
      const text = this.parser.parseInline(tokens);
      const address = safeAddress(href);
      return address ? `<button type="button" class="link" data-href="${escaped(address)}">${text}</button>` : `${text} <span class="dim">(${escaped(href)})</span>`;
    },
    image: ({ href, text }: Tokens.Image) => `<span class="no-image">picture not loaded: ${escaped(text || href)}</span>`,
    code: ({ text, lang }: Tokens.Code) => codeBlock(text, (lang ?? "").split(/\s/)[0] ?? ""),
    table(token: Tokens.Table) {
      const row = (cells: Tokens.TableCell[], tag: string) =>
        `<tr>${cells.map((cell) => `<${tag}${cell.align ? ` class="${cell.align}"` : ""}>${this.parser.parseInline(cell.tokens)}</${tag}>`).join("")}</tr>`;
      const body = token.rows.map((cells) => row(cells, "td")).join("");
      return `<div class="table" tabindex="0"><table><thead>${row(token.header, "th")}</thead><tbody>${body}</tbody></table></div>`;
    },
  },
});

function codeBlock(text: string, language: string): string {
  const head = `<div class="code-head"><span>${escaped(language || "text")}</span><button type="button" data-copy>Copy</button></div>`;
  return `<div class="code">${head}<pre tabindex="0"><code>${highlighted(text, language)}</code></pre></div>`;
}

export interface Block {
  raw: string;
  token: Token;
  links: Record<string, { href: string; title: string }>;
}

/** The top-level blocks of a text. While it grows, only the last ones change. */
export function blocks(text: string): Block[] {
  const tokens = marked.lexer(text);
  return tokens.filter((token) => token.type !== "space").map((token) => ({ raw: token.raw, token, links: tokens.links as Block["links"] }));
}

export function blockHtml(block: Block): string {
  const list = Object.assign([block.token], { links: block.links });
  return clean(marked.parser(list as Token[]).replace(MARK, (_, number: string) => citeButton(number)));
}

function citeButton(number: string): string {
  return `<button type="button" class="cite" data-cite="${number}" aria-label="Source ${number}">${number}</button>`;
}

export function clean(html: string): string {
  return DOMPurify.sanitize(html, {
    USE_PROFILES: { html: true, mathMl: true },
    FORBID_TAGS: ["style", "form", "img", "picture", "source", "audio", "video", "iframe", "a", "link", "input"],
    FORBID_ATTR: ["style", "src", "srcset", "href", "action", "formaction", "id", "name"],
  });
}
