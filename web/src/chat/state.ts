/** The chats of this key, and the one that is open. */
import { batch, signal } from "@preact/signals";
import * as api from "../api/conversations";
import { message } from "../api/client";
import type { Item } from "../api/items";
import { type Branch, newest } from "./tree";
import * as settings from "./settings";

export interface Chat {
  id: string;
  title: string;
  updated: number;
  conversations: api.Conversation[];
}

export interface OpenChat {
  /** "" before the first message. */
  id: string;
  branches: Branch[];
  current: string;
}

export const NEW: OpenChat = { id: "", branches: [], current: "" };
export const chats = signal<Chat[]>([]);
export const open = signal<OpenChat>(NEW);
export const loading = signal(false);
export const loadError = signal("");

export function group(conversations: readonly api.Conversation[]): Chat[] {
  const found = new Map<string, Chat>();
  for (const conversation of conversations) {
    const { chat, title, updated } = conversation.metadata;
    if (!title) continue; // other clients make conversations, too
    const id = chat ?? conversation.id;
    const known = found.get(id) ?? { id, title, updated: 0, conversations: [] };
    const at = Number(updated) || 0;
    found.set(id, {
      id,
      title: conversation.id === id ? title : known.title,
      updated: Math.max(known.updated, at || conversation.created_at * 1000 * Number(!chat)),
      conversations: [...known.conversations, conversation],
    });
  }
  return [...found.values()].sort((a, b) => b.updated - a.updated);
}

export async function loadChats(): Promise<void> {
  chats.value = group(await api.listConversations());
}

export function currentBranch(): Branch | undefined {
  return open.value.branches.find((branch) => branch.id === open.value.current);
}

export function begin(): void {
  batch(() => {
    open.value = NEW;
    loadError.value = "";
    settings.begin();
  });
}

export async function openChat(id: string): Promise<void> {
  if (open.value.id === id) return;
  const chat = chats.value.find((known) => known.id === id);
  if (!chat) {
    loadError.value = "This chat is not there: it was deleted, or belongs to another key.";
    return;
  }
  batch(() => {
    loading.value = true;
    loadError.value = "";
    open.value = { ...NEW, id };
  });
  try {
    const branches = await Promise.all(chat.conversations.map(toBranch));
    if (open.value.id !== id) return; // another was opened meanwhile
    const current = newest(branches)!;
    batch(() => {
      open.value = { id, branches, current: current.id };
      settings.settings.value = settings.fromMetadata(chat.conversations.find((one) => one.id === current.id)!.metadata);
    });
  } catch (error) {
    loadError.value = message(error);
  } finally {
    loading.value = false;
  }
}

async function toBranch(conversation: api.Conversation): Promise<Branch> {
  return { id: conversation.id, items: await api.listItems(conversation.id), updated: Number(conversation.metadata["updated"]) || 0 };
}

export function choose(branch: Branch): void {
  open.value = { ...open.value, current: branch.id };
}

/** Changes a branch of the open chat, if it is still open. */
export function changeBranch(id: string, change: (branch: Branch) => Branch): void {
  open.value = { ...open.value, branches: open.value.branches.map((branch) => (branch.id === id ? change(branch) : branch)) };
}

export async function addBranch(items: Item[], title: string): Promise<Branch> {
  const { id } = open.value;
  const metadata = { ...settings.toMetadata(settings.settings.value), title, ...(id && { chat: id }) };
  const made = await api.createConversation(metadata, items);
  const branch = { id: made.id, items, updated: 0 };
  const chat = chats.value.find((known) => known.id === id);
  batch(() => {
    open.value = { id: id || made.id, branches: [...open.value.branches, branch], current: made.id };
    const changed = chat ? { ...chat, conversations: [...chat.conversations, made] } : { id: made.id, title, updated: Date.now(), conversations: [made] };
    chats.value = [changed, ...chats.value.filter((known) => known !== chat)];
  });
  return branch;
}

/** Notes that a branch was written to, with the settings of now. */
export async function touch(branch: string): Promise<void> {
  const chat = chats.value.find((known) => known.conversations.some((one) => one.id === branch));
  const old = chat?.conversations.find((one) => one.id === branch);
  if (!chat || !old) return;
  const now = Date.now();
  const kept = { title: chat.title, updated: String(now), ...(old.metadata["chat"] && { chat: old.metadata["chat"] }) };
  const made = await api.changeMetadata(branch, { ...settings.toMetadata(settings.settings.value), ...kept });
  const changed = { ...chat, updated: now, conversations: chat.conversations.map((one) => (one.id === branch ? made : one)) };
  chats.value = [changed, ...chats.value.filter((known) => known.id !== chat.id)];
}

export async function rename(chat: Chat, title: string): Promise<void> {
  const root = chat.conversations.find((one) => one.id === chat.id) ?? chat.conversations[0]!;
  const made = await api.changeMetadata(root.id, { ...root.metadata, title });
  const conversations = chat.conversations.map((one) => (one.id === made.id ? made : one));
  chats.value = chats.value.map((known) => (known.id === chat.id ? { ...chat, title, conversations } : known));
}

export async function deleteChat(chat: Chat): Promise<void> {
  await Promise.all(chat.conversations.map((one) => api.deleteConversation(one.id)));
  chats.value = chats.value.filter((known) => known.id !== chat.id);
  if (open.value.id === chat.id) begin();
}
