/** What a text that still grows is shown as: marks that are not closed yet are closed, so that nothing flickers when they are. */
export function closed(text: string): string {
  const fences = text.match(/^ {0,3}(```+|~~~+)/gm) ?? [];
  if (fences.length % 2) return text; // inside of a code block all is literal
  const start = text.lastIndexOf("\n\n") + 1;
  return text.slice(0, start) + closedParagraph(text.slice(start));
}

function closedParagraph(text: string): string {
  const whole = text.replace(/\[[^\]\n]*\]\([^)\s]*$/, (link) => link.slice(1, link.indexOf("]"))); // a link whose address still comes
  const bare = whole.replace(/(`+)[^`]+\1/g, "");
  if ((bare.match(/`/g) ?? []).length % 2) return `${whole}\``;
  if (/(^|[^*])\*\*?$/.test(whole)) return whole.replace(/\*+$/, "");
  const strong = (bare.match(/\*\*/g) ?? []).length % 2 ? "**" : "";
  return strong ? whole.trimEnd() + strong : whole;
}
