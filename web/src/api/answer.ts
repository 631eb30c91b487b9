/** An answer as it comes: events of /v1/responses, folded into the items that they tell of. */
import type { Citation, Item, Message, Reasoning } from "./items";
import type { Event } from "./sse";

export interface Usage {
  input_tokens: number;
  output_tokens: number;
  input_tokens_details?: { cached_tokens: number };
}

export interface Answer {
  id: string;
  status: "in_progress" | "completed" | "incomplete" | "failed";
  items: Item[];
  usage: Usage | null;
  error: string | null;
  /** When the first token came, and the last event, in milliseconds after the request. */
  first: number | null;
  last: number;
  /** When each tool call began and ended, in the same time. */
  times: Record<string, [number, number?]>;
}

export const EMPTY: Answer = { id: "", status: "in_progress", items: [], usage: null, error: null, first: null, last: 0, times: {} };

interface Finished {
  id: string;
  status: Answer["status"];
  output: Item[];
  usage: Usage | null;
  error: { message: string } | null;
}

/** The answer after one more event, which came `now` milliseconds after the request. */
export function after(answer: Answer, event: Event, now: number): Answer {
  const at = event["output_index"] as number;
  const next = { ...answer, last: now };
  switch (event.type) {
    case "response.created":
      return { ...next, id: (event["response"] as Finished).id };
    case "response.output_item.added":
      return { ...next, items: placed(answer.items, at, event["item"] as Item), times: begun(answer, event["item"] as Item, now) };
    case "response.output_item.done":
      return { ...next, items: placed(answer.items, at, event["item"] as Item), times: ended(answer, event["item"] as Item, now) };
    case "response.output_text.delta":
    case "response.refusal.delta":
      return { ...next, first: answer.first ?? now, items: changed(answer.items, at, (item) => longer(item as Message, event["delta"] as string)) };
    case "response.reasoning_text.delta":
      return { ...next, first: answer.first ?? now, items: changed(answer.items, at, (item) => thinking(item as Reasoning, event["delta"] as string)) };
    case "response.output_text.annotation.added":
      return { ...next, items: changed(answer.items, at, (item) => cited(item as Message, event["annotation"] as Citation)) };
    case "response.mcp_call_arguments.done":
      return { ...next, items: changed(answer.items, at, (item) => ({ ...item, arguments: event["arguments"] }) as Item) };
    case "response.completed":
    case "response.incomplete":
    case "response.failed": {
      const end = event["response"] as Finished;
      return { ...next, id: end.id, status: end.status, items: end.output, usage: end.usage, error: end.error?.message ?? null };
    }
    case "error":
      return { ...next, status: "failed", error: String(event["message"] ?? "the answer broke off") };
    default:
      return next;
  }
}

function placed(items: Item[], at: number, item: Item): Item[] {
  const next = items.slice();
  next[at] = item;
  return next;
}

function changed(items: Item[], at: number, change: (item: Item) => Item): Item[] {
  const item = items[at];
  return item ? placed(items, at, change(item)) : items;
}

function longer(item: Message, delta: string): Message {
  const part = item.content[0] ?? { type: "output_text" as const, text: "", annotations: [] };
  return { ...item, content: [{ ...part, text: (part.text ?? "") + delta }] };
}

function thinking(item: Reasoning, delta: string): Reasoning {
  return { ...item, content: [{ type: "reasoning_text", text: (item.content?.[0]?.text ?? "") + delta }] };
}

function cited(item: Message, citation: Citation): Message {
  const part = item.content[0] ?? { type: "output_text" as const, text: "" };
  return { ...item, content: [{ ...part, annotations: [...(part.annotations ?? []), citation] }] };
}

function begun(answer: Answer, item: Item, now: number): Answer["times"] {
  return { ...answer.times, [item.id ?? ""]: [now] };
}

function ended(answer: Answer, item: Item, now: number): Answer["times"] {
  return { ...answer.times, [item.id ?? ""]: [answer.times[item.id ?? ""]?.[0] ?? now, now] };
}
