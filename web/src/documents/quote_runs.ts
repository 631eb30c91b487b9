/** Where a quote stands among the runs of text of a page. PDFs break lines, hyphenate and space as they like: only letters and digits count. */
const SHORTEST = 12; // letters of a line that is looked for by itself

export interface Run {
  run: number;
  from: number; // share of the run's letters
  to: number;
}

interface Letters {
  text: string;
  places: [run: number, at: number, behind: number][];
}

/** The parts of runs that the quote covers: all of it at once, else each of its lines that is found. */
export function quoteRuns(runs: readonly string[], quote: string): Run[] {
  const page = lettersOf(runs);
  const whole = found(page, plain(quote));
  const lines = quote.split("\n").map(plain).filter((line) => line.length >= SHORTEST);
  const spans = whole ? [whole] : lines.map((line) => found(page, line)).filter((span) => span !== null);
  const covered = new Map<number, Run>();
  for (const [first, last] of spans) {
    for (let i = first; i < last; i++) extend(covered, page.places[i]!, runs);
  }
  return [...covered.values()];
}

function extend(covered: Map<number, Run>, [run, at, behind]: [number, number, number], runs: readonly string[]): void {
  const length = runs[run]!.length;
  const known = covered.get(run) ?? { run, from: 1, to: 0 };
  covered.set(run, { run, from: Math.min(known.from, at / length), to: Math.max(known.to, behind / length) });
}

function found({ text }: Letters, wanted: string): [number, number] | null {
  const at = wanted ? text.indexOf(wanted) : -1;
  return at < 0 ? null : [at, at + wanted.length];
}

function lettersOf(runs: readonly string[]): Letters {
  const places: Letters["places"] = [];
  let text = "";
  runs.forEach((run, i) => {
    let at = 0;
    for (const character of run) {
      const letters = plain(character);
      text += letters;
      for (let n = 0; n < letters.length; n++) places.push([i, at, at + character.length]);
      at += character.length;
    }
  });
  return { text, places };
}

function plain(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
}
