/** The sources of an answer: citations of the same place are one source, and have one number. */
import type { Citation } from "../api/items";

export interface Source {
  vector_store_id: string;
  file_id: string;
  filename: string;
  page?: number | null;
  start?: number;
  end?: number;
  quote?: string;
}

export function sourcesOf(citations: readonly Citation[]): Source[] {
  const found = new Map<string, Source>();
  for (const { vector_store_id = "", file_id, filename, page, start, end, quote } of citations) {
    const source = { vector_store_id, file_id, filename, ...(page != null && { page }), ...(start !== undefined && end !== undefined && { start, end }), ...(quote && { quote }) };
    if (!found.has(placeOf(source))) found.set(placeOf(source), source);
  }
  return [...found.values()];
}

function placeOf({ file_id, start, end }: { file_id: string; start?: number; end?: number }): string {
  return `${file_id} ${start ?? ""} ${end ?? ""}`;
}

/** The text with a mark where each citation stands. `index` counts code points, as Python does, and JavaScript does not. */
export function withMarks(text: string, citations: readonly Citation[], sources: readonly Source[], mark: (number: number) => string): string {
  if (!citations.length) return text;
  const letters = [...text];
  const numbers = new Map(sources.map((source, i) => [placeOf(source), i + 1]));
  const marks = new Map<number, Set<number>>();
  for (const citation of citations) {
    const at = Math.min(citation.index, letters.length);
    marks.set(at, (marks.get(at) ?? new Set()).add(numbers.get(placeOf(citation))!));
  }
  const told = (at: number) => [...(marks.get(at) ?? [])].map(mark).join("");
  return letters.map((letter, i) => told(i) + letter).join("") + told(letters.length);
}
