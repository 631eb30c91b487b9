/** A chat: its turns, and where the next message is written. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { Item } from "../api/items";
import { Icon } from "../ui/icons";
import { route } from "../ui/route";
import { Head } from "../ui/sidebar";
import { Composer } from "./composer";
import { live } from "./send";
import { SettingsPanel } from "./settings_panel";
import { begin, chats, currentBranch, loadError, loading, open, openChat } from "./state";
import { turns } from "./tree";
import { TurnView } from "./turn";
import { Welcome } from "./welcome";

export function ChatPage() {
  const panel = useSignal(false);
  useSignalEffect(() => {
    const { room, id } = route.value;
    if (room !== "chat") return;
    if (id) void openChat(id);
    else if (open.peek().id) begin();
  });
  const title = chats.value.find((chat) => chat.id === open.value.id)?.title ?? "New chat";
  return (
    <div class="chat-page">
      <div class="chat">
        <Head title={title}>
          <button type="button" class="quiet" aria-label="Settings of this chat" aria-expanded={panel.value} onClick={() => (panel.value = !panel.value)}>
            <Icon name="settings" />
          </button>
        </Head>
        <Turns />
        <Composer />
      </div>
      {panel.value && <SettingsPanel close={() => (panel.value = false)} />}
    </div>
  );
}

function Turns() {
  const list = useRef<HTMLDivElement>(null);
  const branch = currentBranch();
  const now = live.value[open.value.current];
  const items: Item[] = [...(branch?.items ?? []), ...(now ? [...now.sent, ...now.answer.items] : [])];
  useFollow(list, open.value.current, now !== undefined);
  const found = turns(items);
  return (
    <div class="turns" ref={list} tabIndex={0} role="log" aria-label="The chat" aria-busy={now !== undefined && !now.error}>
      <div class="column">
        {loading.value && <p class="dim">Loading the chat …</p>}
        {loadError.value && (
          <p class="error" role="alert">
            {loadError.value}
          </p>
        )}
        {!found.length && !loading.value && !loadError.value && <Welcome />}
        {found.map((turn, i) => (
          <TurnView key={turn.start} turn={turn} live={i === found.length - 1 ? now : undefined} last={i === found.length - 1} />
        ))}
      </div>
    </div>
  );
}

/** Follows what is written, unless the reader has scrolled up. */
function useFollow(list: { current: HTMLDivElement | null }, chat: string, growing: boolean): void {
  const following = useRef(true);
  useEffect(() => {
    const box = list.current!;
    const note = () => (following.current = box.scrollHeight - box.scrollTop - box.clientHeight < 80);
    box.addEventListener("scroll", note, { passive: true });
    return () => box.removeEventListener("scroll", note);
  }, []);
  useEffect(() => {
    following.current = true;
    list.current!.scrollTop = list.current!.scrollHeight;
  }, [chat, growing]);
  useEffect(() => {
    if (following.current) list.current!.scrollTop = list.current!.scrollHeight;
  });
}
