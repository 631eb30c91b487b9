/** Keys that work everywhere on the page. */
import { begin } from "../chat/state";
import { isBusy, stop } from "../chat/send";
import { ask } from "./dialogs";
import { drawer, go, ROOMS } from "./route";

export const SHORTCUTS: readonly [string, string][] = [
  ["Ctrl + K", "search the chats"],
  ["Ctrl + Shift + O", "new chat"],
  ["Alt + 1 … 5", "chat, documents, tools, architectures, operator"],
  ["Enter", "send; Shift + Enter is a new line"],
  ["Esc", "stop the answer"],
  ["↑ in an empty message", "edit your last message"],
  ["?", "this list"],
];

export function shortcuts(event: KeyboardEvent): void {
  const command = event.ctrlKey || event.metaKey;
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (command && event.key.toLowerCase() === "k") act(event, searchChats);
  else if (command && event.shiftKey && event.key.toLowerCase() === "o") act(event, newChat);
  else if (event.altKey && /^[1-5]$/.test(event.key)) act(event, () => go(ROOMS[Number(event.key) - 1]!));
  else if (event.key === "Escape" && isBusy() && !document.querySelector("dialog[open]")) act(event, stop);
  else if (event.key === "?" && !typing && !command) act(event, showShortcuts);
}

function act(event: KeyboardEvent, run: () => void): void {
  event.preventDefault();
  run();
}

function searchChats(): void {
  drawer.value = true;
  setTimeout(() => document.querySelector<HTMLInputElement>("#search-chats")?.focus());
}

export function newChat(): void {
  begin();
  go("chat");
  drawer.value = false;
  setTimeout(() => document.querySelector<HTMLTextAreaElement>("#message")?.focus());
}

export function showShortcuts(): void {
  const detail = SHORTCUTS.map(([keys, what]) => `${keys}: ${what}`).join("\n");
  void ask({ title: "Keys", text: "What the keyboard does here:", detail, yes: "Close" });
}
