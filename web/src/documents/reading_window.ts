/** Which part of a document is shown around a passage. */
export const AROUND = 1500; // characters that are shown before and after a passage

export interface Span {
  start: number;
  end: number;
}

/** The part of a text of `characters` that is shown around a passage. */
export function windowAround({ start, end }: Span, characters: number): Span {
  return { start: Math.max(0, start - AROUND), end: Math.min(characters, end + AROUND) };
}

/** A text that begins at `from` in its document, split into what stands before the passage, the passage, and after it. Positions count
 * code points, as the server does. */
export function split(text: string, from: number, passage: Span): [string, string, string] {
  const letters = [...text];
  const [first, last] = [passage.start - from, passage.end - from].map((at) => Math.min(Math.max(at, 0), letters.length)) as [number, number];
  return [letters.slice(0, first).join(""), letters.slice(first, last).join(""), letters.slice(last).join("")];
}
