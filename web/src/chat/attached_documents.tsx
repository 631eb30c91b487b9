/** Documents in a chat: each goes into a store of the chat's own, out of which its questions are answered from then on. */
import { signal } from "@preact/signals";
import { message } from "../api/client";
import { addFile, createStore, deleteFile, loadStores, stateOf, storeFile, stores, upload } from "../api/documents";
import { Icon } from "../ui/icons";
import { change, settings } from "./settings";

const NAME = "Attached: ";
const EVERY = 300; // milliseconds between two looks at how far the server is

interface Attaching {
  key: number;
  name: string;
  /** What is going on, "" once it can be asked. */
  state: string;
  error: string;
  file: string;
}

/** Those that came since the chat was opened. */
export const documents = signal<readonly Attaching[]>([]);
let last = 0;

export function isReading(): boolean {
  return documents.value.some(({ state, error }) => state !== "" && !error);
}

function set(key: number, changed: Partial<Attaching>): void {
  documents.value = documents.value.map((one) => (one.key === key ? { ...one, ...changed } : one));
}

/** Resolves when the document can be asked, or shows why it cannot. */
export async function attachDocument(file: File): Promise<void> {
  const key = ++last;
  documents.value = [...documents.value, { key, name: file.name, state: "uploading", error: "", file: "" }];
  try {
    const id = await upload(file, (share) => set(key, { state: `uploading ${Math.round(100 * share)} %` }));
    const store = await ownStore(file.name);
    await addFile(store, id);
    set(key, { state: "queued", file: id });
    await watch(key, store, id);
    await loadStores();
  } catch (error) {
    set(key, { error: message(error) });
  }
}

/** The one that this chat has made before, or a new one. */
async function ownStore(name: string): Promise<string> {
  const known = stores.value.find(({ id, name }) => settings.value.stores.includes(id) && name?.startsWith(NAME));
  if (known) return known.id;
  const made = await createStore(`${NAME}${name}`);
  stores.value = [made, ...stores.value];
  change({ stores: [...settings.value.stores, made.id] });
  return made.id;
}

async function watch(key: number, store: string, id: string): Promise<void> {
  for (;;) {
    const file = await storeFile(store, id);
    if (file.state === "failed" || file.state === "cancelled") throw new Error(file.last_error?.message ?? file.state);
    set(key, { state: file.state === "ready" ? "" : stateOf(file) });
    if (file.state === "ready") return;
    await new Promise((done) => setTimeout(done, EVERY));
  }
}

export function AttachedDocuments() {
  if (!documents.value.length) return null;
  return (
    <ul class="attached" aria-label="Attached documents" aria-live="polite">
      {documents.value.map((one) => (
        <li key={one.key} class={one.error ? "chip wrong" : "chip on"}>
          <Icon name="documents" /> <span>{one.name}</span>
          {one.error ? <span class="error">{one.error}</span> : one.state && <span class="dim">{one.state}</span>}
          <button type="button" class="quiet" aria-label={`Remove ${one.name}`} onClick={() => takeOff(one)}>
            <Icon name="close" />
          </button>
        </li>
      ))}
    </ul>
  );
}

function takeOff(one: Attaching): void {
  documents.value = documents.value.filter(({ key }) => key !== one.key);
  if (one.file) void deleteFile(one.file).catch(() => undefined);
}
