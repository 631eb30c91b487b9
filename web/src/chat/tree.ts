/** Branches of a chat. Each is a list of items; those that branches share have the same ids, so that together they are a tree. */
import { type Item, type Message, isUserMessage, textOf } from "../api/items";

export interface Branch {
  id: string;
  items: Item[];
  /** When it was last written to, in milliseconds. */
  updated: number;
}

export interface Turn {
  /** Where it begins among the items. */
  start: number;
  user: Message | null;
  answer: Item[];
}

/** A turn is a user's message with all that follows it. */
export function turns(items: readonly Item[]): Turn[] {
  const found: Turn[] = [];
  items.forEach((item, i) => {
    if (isUserMessage(item)) found.push({ start: i, user: item, answer: [] });
    else if (found.length) found.at(-1)!.answer.push(item);
    else found.push({ start: i, user: null, answer: [item] });
  });
  return found;
}

/** The branches that differ from `current` at item `at` for the first time, or are `current` itself: one for each item there, in order. */
export function alternatives(branches: readonly Branch[], current: Branch, at: number): Branch[] {
  const found = new Map<string, Branch>();
  for (const branch of branches) {
    const item = branch.items[at];
    if (!item || !sameBeginning(branch, current, at)) continue;
    const known = found.get(item.id!);
    if (!known || branch.id === current.id || (known.id !== current.id && branch.updated > known.updated)) found.set(item.id!, branch);
  }
  return [...found.values()];
}

function sameBeginning(one: Branch, other: Branch, length: number): boolean {
  for (let i = 0; i < length; i++) if (one.items[i]?.id !== other.items[i]?.id) return false;
  return true;
}

export function newest(branches: readonly Branch[]): Branch | undefined {
  return branches.reduce<Branch | undefined>((best, branch) => (!best || branch.updated > best.updated ? branch : best), undefined);
}

/** The approval requests that nobody has answered yet. */
export function openApprovals(items: readonly Item[]): Item[] {
  const answered = new Set(items.map((item) => (item.type === "mcp_approval_response" ? item.approval_request_id : "")));
  return items.filter((item) => item.type === "mcp_approval_request" && !answered.has(item.id));
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n")[0]?.replace(/[*`#]/g, "").trim() ?? "";
  return line.length > 60 ? `${line.slice(0, 57).trimEnd()}…` : line || "New chat";
}

/** Whether a chat's texts hold all words. */
export function holds(items: readonly Item[], words: readonly string[]): boolean {
  const text = items.map(textOf).join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}
