/** What the reader shows: a passage of a document, or nothing. */
import { signal } from "@preact/signals";
import type { Source } from "../chat/sources";

export const reading = signal<Source | null>(null);

export function read(source: Source): void {
  reading.value = source;
}

/** The beginning of a passage, as it is shown in a list. */
export function snippet(text: string): string {
  return text.slice(0, 300).replace(/\n{2,}/g, "\n");
}
