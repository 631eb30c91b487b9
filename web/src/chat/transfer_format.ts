/** The form of a file of chats. */
import type { Item } from "../api/items";

export interface Exported {
  title: string;
  branches: { metadata: Record<string, string>; items: Item[] }[];
}

export interface File {
  format: "stoa-chats";
  chats: Exported[];
}

/** Throws an Error for a file that is none of ours. */
export function parse(text: string): File {
  let file: Partial<File> | null;
  try {
    file = JSON.parse(text) as Partial<File>;
  } catch {
    throw new Error("it is no JSON");
  }
  if (file?.format !== "stoa-chats" || !Array.isArray(file.chats)) throw new Error("it holds no chats that this page has exported");
  return file as File;
}
