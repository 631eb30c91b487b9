/** The rooms, the chats, and the theme. */
import { version } from "../api/system";
import { ChatList } from "../chat/list";
import { Icon, type IconName } from "./icons";
import { drawer, type Room, route } from "./route";
import { newChat, showShortcuts } from "./shortcuts";
import { switchTheme, theme } from "./theme";

const NAMES: readonly [Room, string][] = [
  ["chat", "Chat"],
  ["documents", "Documents"],
  ["tools", "Tools"],
  ["architectures", "Architectures"],
  ["operator", "Operator"],
];

export function Sidebar() {
  return (
    <aside class="sidebar" aria-label="Rooms and chats">
      <div class="brand">
        <img src="./icon.svg" alt="" width="26" height="26" />
        <strong>Stoa</strong>
        <button type="button" class="quiet" aria-label="New chat" title="New chat (Ctrl+Shift+O)" onClick={newChat}>
          <Icon name="plus" />
        </button>
      </div>
      <nav aria-label="Rooms">
        {NAMES.map(([room, name]) => (
          <a key={room} href={`#/${room}`} class="room" aria-current={route.value.room === room ? "page" : undefined} onClick={() => (drawer.value = false)}>
            <Icon name={room as IconName} />
            {name}
          </a>
        ))}
      </nav>
      <ChatList />
      <div class="foot">
        <span class="dim">{version.value && `Stoa ${version.value}`}</span>
        <button type="button" class="quiet" aria-label="Keys" title="Keys (?)" onClick={showShortcuts}>
          ?
        </button>
        <button type="button" class="quiet" aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"} onClick={switchTheme}>
          <Icon name={theme.value === "dark" ? "sun" : "moon"} />
        </button>
      </div>
    </aside>
  );
}

/** The head of a room, with the button that opens the sidebar where there is no room for it. */
export function Head({ title, children }: { title: string; children?: preact.ComponentChildren }) {
  return (
    <header class="head">
      <button type="button" class="quiet only-narrow" aria-label="Rooms and chats" aria-expanded={drawer.value} onClick={() => (drawer.value = true)}>
        <Icon name="menu" />
      </button>
      <h1>{title}</h1>
      <div class="head-actions">{children}</div>
    </header>
  );
}
