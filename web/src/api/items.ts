/** The items of a conversation, as /v1/responses and /v1/conversations send them. */
export interface Citation {
  type: "file_citation";
  index: number;
  file_id: string;
  filename: string;
  page?: number | null;
  start?: number;
  end?: number;
  quote?: string;
  chunk_id?: number;
  vector_store_id?: string;
  score?: number;
}

export interface Part {
  type: "input_text" | "input_image" | "output_text" | "refusal" | "reasoning_text" | "summary_text";
  text?: string;
  refusal?: string;
  annotations?: Citation[];
  file_id?: string | null;
  image_url?: string | null;
}

export interface Message {
  type: "message";
  id: string;
  role: "user" | "assistant" | "system" | "developer";
  status?: string;
  content: Part[];
}

export interface Reasoning {
  type: "reasoning";
  id: string;
  content?: Part[];
  summary: Part[];
}

export interface Passage {
  file_id: string;
  filename: string;
  score: number;
  text: string;
  page?: number | null;
  headings?: string[];
  start?: number;
  end?: number;
  vector_store_id?: string;
  chunk_id?: number;
}

export interface FileSearch {
  type: "file_search_call";
  id: string;
  status: string;
  queries: string[];
  results: Passage[] | null;
}

export interface McpCall {
  type: "mcp_call";
  id: string;
  server_label: string;
  name: string;
  arguments: string;
  output: string | null;
  error: unknown;
  status?: string;
}

export interface ApprovalRequest {
  type: "mcp_approval_request";
  id: string;
  server_label: string;
  name: string;
  arguments: string;
}

export interface ApprovalResponse {
  type: "mcp_approval_response";
  id?: string;
  approval_request_id: string;
  approve: boolean;
}

export interface OtherItem {
  type: "mcp_list_tools" | "function_call" | "function_call_output" | "compaction";
  id: string;
}

export type Item = Message | Reasoning | FileSearch | McpCall | ApprovalRequest | ApprovalResponse | OtherItem;

export function textOf(item: Item): string {
  if (item.type !== "message" && item.type !== "reasoning") return "";
  const parts = item.content?.length || item.type === "message" ? item.content : item.summary;
  return (parts ?? []).map((part) => part.text ?? part.refusal ?? "").join("");
}

export function picturesOf(item: Item): Part[] {
  return item.type === "message" ? item.content.filter((part) => part.type === "input_image") : [];
}

export function userMessage(text: string, pictures: readonly Part[] = []): Message {
  const said: Part[] = text || !pictures.length ? [{ type: "input_text", text }] : [];
  return { type: "message", id: newId("msg"), role: "user", content: [...pictures, ...said] };
}

export function newId(kind: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(18));
  return `${kind}_${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

export function isUserMessage(item: Item | undefined): item is Message {
  return item?.type === "message" && item.role === "user";
}
