/** The chats: search in titles and texts, rename, delete, export, import. */
import { signal, useSignal } from "@preact/signals";
import { listItems } from "../api/conversations";
import { message } from "../api/client";
import { ask, tell } from "../ui/dialogs";
import { Icon } from "../ui/icons";
import { route } from "../ui/route";
import { type Chat, chats, deleteChat, rename } from "./state";
import { holds } from "./tree";
import { exportAll, exportChat, importChats } from "./transfer";

const query = signal("");
const found = signal<ReadonlySet<string> | null>(null); // by text; null: nothing was searched for
let searching = 0;

function search(text: string): void {
  query.value = text;
  found.value = null;
  clearTimeout(searching);
  if (text.trim().length > 1) searching = window.setTimeout(() => void searchTexts(text), 250);
}

async function searchTexts(text: string): Promise<void> {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const ids = new Set<string>();
  for (const chat of chats.value) {
    const newest = chat.conversations.at(-1)!;
    if (query.value !== text) return;
    if (holds(await listItems(newest.id), words)) found.value = new Set(ids.add(chat.id));
  }
}

function shown(): Chat[] {
  const text = query.value.trim().toLowerCase();
  return text ? chats.value.filter((chat) => chat.title.toLowerCase().includes(text) || found.value?.has(chat.id)) : chats.value;
}

export function ChatList() {
  return (
    <section class="chats" aria-label="Chats">
      <div class="search">
        <Icon name="search" />
        <input id="search-chats" type="search" placeholder="Search chats" aria-label="Search chats" value={query.value} onInput={(event) => search(event.currentTarget.value)} />
      </div>
      <ul>
        {shown().map((chat) => (
          <Row key={chat.id} chat={chat} />
        ))}
        {!shown().length && <li class="dim none">{query.value ? "No chat has these words." : "Your chats will stand here."}</li>}
      </ul>
      <div class="transfer">
        <button type="button" class="text" disabled={!chats.value.length} onClick={() => void exportAll().catch((error) => tell(message(error)))}>
          Export all
        </button>
        <label class="text">
          Import
          <input type="file" accept="application/json,.json" class="hidden" onChange={(event) => void importFiles(event.currentTarget)} />
        </label>
      </div>
    </section>
  );
}

async function importFiles(input: HTMLInputElement): Promise<void> {
  const file = input.files?.[0];
  input.value = "";
  if (!file) return;
  try {
    tell(`${await importChats(await file.text())} chats imported`);
    search("");
  } catch (error) {
    tell(`Nothing was imported: ${message(error)}`);
  }
}

function Row({ chat }: { chat: Chat }) {
  const menu = useSignal(false);
  const here = route.value.room === "chat" && route.value.id === chat.id;
  const act = (run: () => Promise<unknown>) => () => {
    menu.value = false;
    run().catch((error) => tell(message(error)));
  };
  return (
    <li class="chat-row">
      <a href={`#/chat/${chat.id}`} aria-current={here ? "page" : undefined} title={chat.title}>
        {chat.title}
      </a>
      <button type="button" class="quiet" aria-label={`More about ${chat.title}`} aria-expanded={menu.value} onClick={() => (menu.value = !menu.value)}>
        ⋯
      </button>
      {menu.value && (
        <div class="menu" onKeyDown={(event) => event.key === "Escape" && (menu.value = false)}>
          <button type="button" onClick={act(() => askName(chat))}>
            <Icon name="edit" /> Rename
          </button>
          <button type="button" onClick={act(() => exportChat(chat))}>
            <Icon name="down" /> Export
          </button>
          <button type="button" class="danger" onClick={act(() => askDelete(chat))}>
            <Icon name="trash" /> Delete
          </button>
        </div>
      )}
    </li>
  );
}

async function askName(chat: Chat): Promise<void> {
  const title = await ask({ title: "Rename the chat", text: "Its name in the list:", value: chat.title, yes: "Rename" });
  if (title?.trim()) await rename(chat, title.trim().slice(0, 200));
}

async function askDelete(chat: Chat): Promise<void> {
  const answer = await ask({ title: "Delete the chat?", text: `“${chat.title}” and all its branches are removed from the server.`, yes: "Delete", danger: true });
  if (answer !== null) await deleteChat(chat);
}
