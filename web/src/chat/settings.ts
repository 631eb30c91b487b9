/** What a chat is asked with. It is kept in the metadata of its conversations, and the last choice is where new chats begin. */
import { signal } from "@preact/signals";
import { chatModels } from "../api/system";

export const NUMBERS = ["temperature", "top_p", "top_k", "max_output_tokens", "presence_penalty", "frequency_penalty", "seed"] as const;
export type NumberName = (typeof NUMBERS)[number];
export type Asking = "always" | "writes";

export interface ChatSettings {
  model: string;
  system: string;
  numbers: Partial<Record<NumberName, number>>;
  stores: string[];
  servers: string[];
  /** Which calls of tools wait for an approval. */
  asking: Asking;
}

const KEY = "stoa.settings";
const PIECE = 512; // characters of a value of metadata
export const LONGEST_SYSTEM = 8 * PIECE;
const NONE: ChatSettings = { model: "", system: "", numbers: {}, stores: [], servers: [], asking: "writes" };

export const settings = signal<ChatSettings>(remembered());

function remembered(): ChatSettings {
  try {
    return { ...NONE, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as object), system: "", stores: [], servers: [] };
  } catch {
    return NONE;
  }
}

export function change(changed: Partial<ChatSettings>): void {
  settings.value = { ...settings.value, ...changed };
  localStorage.setItem(KEY, JSON.stringify(settings.value));
}

export function begin(): void {
  settings.value = remembered();
}

/** The chosen model, or the server's first where that is not there (any more). */
export function modelName(): string {
  const names = chatModels().map((model) => model.id);
  return names.includes(settings.value.model) ? settings.value.model : (names[0] ?? "");
}

export function toMetadata(chosen: ChatSettings): Record<string, string> {
  const pieces = chosen.system.match(new RegExp(`[\\s\\S]{1,${PIECE}}`, "g")) ?? [];
  const lists = { stores: chosen.stores.join(","), servers: chosen.servers.join(",") };
  return {
    model: modelName(),
    numbers: JSON.stringify(chosen.numbers),
    asking: chosen.asking,
    ...Object.fromEntries(Object.entries(lists).filter(([, value]) => value)),
    ...Object.fromEntries(pieces.map((piece, i) => [`system${i}`, piece])),
  };
}

export function fromMetadata(metadata: Record<string, string>): ChatSettings {
  const list = (name: string) => (metadata[name] ? metadata[name].split(",") : []);
  const pieces = Array.from({ length: LONGEST_SYSTEM / PIECE }, (_, i) => metadata[`system${i}`] ?? "");
  return {
    model: metadata["model"] ?? "",
    system: pieces.join(""),
    numbers: numbers(metadata["numbers"]),
    stores: list("stores"),
    servers: list("servers"),
    asking: metadata["asking"] === "always" ? "always" : "writes",
  };
}

function numbers(text: string | undefined): ChatSettings["numbers"] {
  try {
    return JSON.parse(text ?? "{}") as ChatSettings["numbers"];
  } catch {
    return {};
  }
}

/** The fields of a request. */
export function toRequest(chosen: ChatSettings): object {
  const approval = chosen.asking === "always" ? { require_approval: "always" } : {};
  const tools = [
    ...(chosen.stores.length ? [{ type: "file_search", vector_store_ids: chosen.stores }] : []),
    ...chosen.servers.map((label) => ({ type: "mcp", server_label: label, ...approval })),
  ];
  return {
    model: modelName(),
    ...(chosen.system && { instructions: chosen.system }),
    ...(chosen.stores.length && { temperature: 0 }), // what documents say is no matter of taste
    ...chosen.numbers,
    ...(tools.length && { tools, include: ["file_search_call.results"] }),
  };
}
