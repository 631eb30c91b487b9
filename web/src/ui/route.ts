/** Where we are: the address's fragment, so that no address of the page can be one of the API. */
import { signal } from "@preact/signals";

export const ROOMS = ["chat", "documents", "tools", "architectures", "operator"] as const;
export type Room = (typeof ROOMS)[number];

export interface Route {
  room: Room;
  id: string;
}

export function parseRoute(fragment: string): Route {
  const [room, id = ""] = fragment.replace(/^#\/?/, "").split("/");
  return { room: ROOMS.find((known) => known === room) ?? "chat", id };
}

export const route = signal<Route>(parseRoute(location.hash));
export const drawer = signal(false);

export function go(room: Room, id = ""): void {
  location.hash = `#/${room}${id && `/${id}`}`;
}

addEventListener("hashchange", () => {
  route.value = parseRoute(location.hash);
  drawer.value = false;
});
