/** The page: rooms at the left, the chosen one at the right, a key asked for where the server wants one. */
import { signal } from "@preact/signals";
import { type ComponentType, lazy, Suspense } from "preact/compat";
import { useEffect } from "preact/hooks";
import { ApiError, key, keyRefused, message } from "./api/client";
import { loadModels } from "./api/system";
import { ChatPage } from "./chat/page";
import { loadChats } from "./chat/state";
import { Reader } from "./documents/reader";
import { Dialogs } from "./ui/dialogs";
import { KeyForm } from "./ui/key_form";
import { shortcuts } from "./ui/shortcuts";
import { Sidebar } from "./ui/sidebar";
import { drawer, type Room, route } from "./ui/route";

const ROOMS: Record<Room, ComponentType> = {
  chat: ChatPage,
  documents: lazy(async () => (await import("./documents/page")).DocumentsPage),
  architectures: lazy(async () => (await import("./architectures/page")).ArchitecturesPage),
  operator: lazy(async () => (await import("./operator/page")).OperatorPage),
  tools: lazy(async () => (await import("./tools/page")).ToolsPage),
};
const status = signal<"starting" | "ready" | "down">("starting");
const reason = signal("");

async function start(): Promise<void> {
  try {
    await Promise.all([loadModels(), loadChats()]);
    status.value = "ready";
  } catch (error) {
    if (keyRefused.value) return;
    const waits = error instanceof ApiError && (error.status === 503 || error.status === 0);
    status.value = error instanceof ApiError && error.status === 503 ? "starting" : "down";
    reason.value = message(error);
    if (waits) setTimeout(() => void start(), 1500);
  }
}

export function App() {
  useEffect(() => void start(), [key.value]);
  useEffect(() => {
    addEventListener("keydown", shortcuts);
    return () => removeEventListener("keydown", shortcuts);
  }, []);
  if (keyRefused.value) return <KeyForm />;
  const Page = ROOMS[route.value.room];
  return (
    <div class={`shell${drawer.value ? " drawer-open" : ""}`}>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Sidebar />
      <div class="veil" onClick={() => (drawer.value = false)} />
      <main id="main" tabIndex={-1}>
        {status.value === "ready" ? (
          <Suspense fallback={<p class="waiting">Loading …</p>}>
            <Page />
          </Suspense>
        ) : (
          <Waiting />
        )}
      </main>
      <Reader />
      <Dialogs />
    </div>
  );
}

function skip(event: Event): void {
  event.preventDefault(); // the fragment is the route
  document.getElementById("main")?.focus();
}

function Waiting() {
  return (
    <div class="waiting" role="status">
      <span class="spinner" aria-hidden="true" />
      <p>{status.value === "down" ? "Something is wrong with the server." : reason.value ? "The server is not ready yet." : "Loading …"}</p>
      <p class="dim">{reason.value}</p>
    </div>
  );
}
