/** Attributes of files as a line of text, and filters made of such a line. */
import type { Attributes } from "../api/documents";

export function toText(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name} = ${String(value)}`)
    .join(", ");
}

/** Throws an Error that says what is wrong. */
export function fromText(text: string): Attributes {
  const pairs = text.split(",").filter((part) => part.trim());
  return Object.fromEntries(
    pairs.map((pair) => {
      const [, name, value] = /^\s*([^=<>]+?)\s*=\s*(.*?)\s*$/.exec(pair) ?? [];
      if (!name) throw new Error(`“${pair.trim()}” is no attribute: write name = value`);
      return [name, valueOf(value ?? "")];
    }),
  );
}

function valueOf(text: string): string | number | boolean {
  if (text === "true" || text === "false") return text === "true";
  return text !== "" && !Number.isNaN(Number(text)) ? Number(text) : text;
}

const COMPARISONS = { "=": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte" } as const;

/** A filter of the API: `year >= 2025, team = sales`. null: there is none. Throws an Error. */
export function toFilter(text: string): object | null {
  const parts = text.split(",").filter((part) => part.trim());
  const filters = parts.map((part) => {
    const [, key, sign, value] = /^\s*([^=<>!]+?)\s*(!=|>=|<=|=|>|<)\s*(.+?)\s*$/.exec(part) ?? [];
    if (!key || !sign) throw new Error(`“${part.trim()}” is no filter: write name = value, or != > >= < <=`);
    return { type: COMPARISONS[sign as keyof typeof COMPARISONS], key, value: valueOf(value!) };
  });
  return filters.length > 1 ? { type: "and", filters } : (filters[0] ?? null);
}
