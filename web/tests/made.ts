/** Items for tests. */
import type { Citation, Message } from "../src/api/items";

export const message = (id: string): Message => ({ type: "message", id, role: "user", content: [{ type: "input_text", text: id }] });
export const assistantText = (id: string): Message => ({ type: "message", id, role: "assistant", content: [{ type: "output_text", text: id }] });
export const cite = (index: number, start: number, end: number): Citation => ({ type: "file_citation", index, file_id: "f", filename: "f.md", start, end });
