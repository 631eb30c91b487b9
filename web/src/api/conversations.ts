/** Chats on the server: each branch of a chat is a conversation, and they share the ids of the items that they have in common. */
import { all, post, remove } from "./client";
import type { Item } from "./items";

export interface Conversation {
  id: string;
  created_at: number;
  metadata: Record<string, string>;
}

const PATH = "/v1/conversations";
const AT_ONCE = 20; // items of one request

/** Oldest first. */
export function listConversations(): Promise<Conversation[]> {
  return all<Conversation>(`${PATH}?order=asc`, 100_000);
}

export function listItems(id: string): Promise<Item[]> {
  return all<Item>(`${PATH}/${id}/items?order=asc&include=file_search_call.results`, 20_000);
}

export async function createConversation(metadata: Record<string, string>, items: readonly Item[] = []): Promise<Conversation> {
  const made = await post<Conversation>(PATH, { metadata, items: items.slice(0, AT_ONCE) });
  for (let i = AT_ONCE; i < items.length; i += AT_ONCE) await addItems(made.id, items.slice(i, i + AT_ONCE));
  return made;
}

export async function addItems(id: string, items: readonly Item[], init: RequestInit = {}): Promise<void> {
  await post(`${PATH}/${id}/items`, { items }, init);
}

export function changeMetadata(id: string, metadata: Record<string, string>): Promise<Conversation> {
  return post<Conversation>(`${PATH}/${id}`, { metadata });
}

export function deleteConversation(id: string): Promise<void> {
  return remove(`${PATH}/${id}`);
}
