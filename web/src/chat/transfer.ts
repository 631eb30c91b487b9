/** Chats as files, to keep and to take elsewhere. */
import { createConversation, listItems } from "../api/conversations";
import { type Chat, chats, loadChats } from "./state";
import { type Exported, type File, parse } from "./transfer_format";

async function toExported(chat: Chat): Promise<Exported> {
  const branches = chat.conversations.map(async ({ id, metadata }) => ({ metadata, items: await listItems(id) }));
  return { title: chat.title, branches: await Promise.all(branches) };
}

export async function exportChat(chat: Chat): Promise<void> {
  save([await toExported(chat)], chat.title);
}

export async function exportAll(): Promise<void> {
  const found: Exported[] = [];
  for (const chat of chats.value) found.push(await toExported(chat));
  save(found, "chats");
}

function save(exported: Exported[], name: string): void {
  const text = JSON.stringify({ format: "stoa-chats", chats: exported } satisfies File, null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = `${name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60)}.json`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Returns how many chats there were. Throws an Error for a file that is none of ours. */
export async function importChats(text: string): Promise<number> {
  const file = parse(text);
  for (const { title, branches } of file.chats) {
    let root = "";
    for (const { metadata, items } of branches) {
      const { chat: _, ...kept } = metadata;
      const made = await createConversation({ ...kept, title, ...(root && { chat: root }) }, items);
      root ||= made.id;
    }
  }
  await loadChats();
  return file.chats.length;
}
