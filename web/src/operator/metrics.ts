/** /metrics in Prometheus' text format, and what is drawn of it. */
export type Samples = Map<string, number>;

/** Samples by name and labels as they are written, such as `stoa_pages{state="free"}`. */
export function parse(text: string): Samples {
  const found: Samples = new Map();
  for (const line of text.split("\n")) {
    const at = line.lastIndexOf(" ");
    if (line && !line.startsWith("#") && at > 0) found.set(line.slice(0, at), Number(line.slice(at + 1)));
  }
  return found;
}

export interface Labelled {
  labels: Record<string, string>;
  value: number;
}

export function labelled(samples: Samples, name: string): Labelled[] {
  const found: Labelled[] = [];
  for (const [key, value] of samples) {
    if (!key.startsWith(`${name}{`)) continue;
    const labels = Object.fromEntries([...key.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label!, text!]));
    found.push({ labels, value });
  }
  return found;
}

/** The sum over all labels. */
export function total(samples: Samples, name: string): number {
  return (samples.get(name) ?? 0) + labelled(samples, name).reduce((sum, { value }) => sum + value, 0);
}

export interface Look {
  at: number; // seconds
  samples: Samples;
}

/** Growth of a counter between two looks, each second; 0 when the server was started anew. */
export function rate(before: Look, now: Look, name: string): number {
  return Math.max(0, total(now.samples, name) - total(before.samples, name)) / Math.max(now.at - before.at, 1e-3);
}

/** Mean of what a histogram has observed between two looks; null: nothing. */
export function mean(before: Look, now: Look, name: string): number | null {
  const [sum, count] = ["_sum", "_count"].map((end) => total(now.samples, name + end) - total(before.samples, name + end)) as [number, number];
  return count > 0 ? sum / count : null;
}
