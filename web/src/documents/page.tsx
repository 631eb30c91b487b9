/** Documents: the stores, and the files, uploads and search of the one that is open. */
import { useEffect } from "preact/hooks";
import { message } from "../api/client";
import { createStore, deleteStore, loadStores, renameStore, type Store, stores } from "../api/documents";
import { ask, tell } from "../ui/dialogs";
import { bytes, plural } from "../ui/format";
import { Icon } from "../ui/icons";
import { go, route } from "../ui/route";
import { Head } from "../ui/sidebar";
import { Files } from "./files";
import { Search } from "./search";

export function DocumentsPage() {
  useEffect(() => void loadStores().catch((error) => tell(message(error))), []);
  const store = stores.value.find((known) => known.id === route.value.id);
  return (
    <div class="room-page">
      <Head title={store ? (store.name ?? store.id) : "Documents"}>
        {store ? <StoreActions store={store} /> : <NewStore />}
      </Head>
      <div class="room-body">{store ? <OpenStore key={store.id} store={store} /> : <Stores />}</div>
    </div>
  );
}

function attempt(run: () => Promise<unknown>): void {
  run().catch((error) => tell(message(error)));
}

function NewStore() {
  return (
    <button type="button" class="primary" onClick={() => attempt(makeStore)}>
      <Icon name="plus" /> New store
    </button>
  );
}

async function makeStore(): Promise<void> {
  const name = await ask({ title: "A new store", text: "Documents that are searched together. What is it called?", value: "Documents", yes: "Make it" });
  if (!name?.trim()) return;
  const made = await createStore(name.trim());
  await loadStores();
  go("documents", made.id);
}

function Stores() {
  if (!stores.value.length) {
    return (
      <div class="empty">
        <h2>Ask your own documents</h2>
        <p class="dim">Put PDF, Word, Markdown, mail, tables or code into a store; answers then cite the passage they rest on, and one click opens it.</p>
        <NewStore />
      </div>
    );
  }
  return (
    <ul class="cards">
      {stores.value.map((store) => (
        <li key={store.id}>
          <a class="tile" href={`#/documents/${store.id}`}>
            <Icon name="documents" />
            <strong>{store.name ?? store.id}</strong>
            <span class="dim">
              {plural(store.file_counts.total, "file")} · {bytes(store.usage_bytes)}
            </span>
            {store.file_counts.failed > 0 && <span class="error">{plural(store.file_counts.failed, "file")} failed</span>}
          </a>
        </li>
      ))}
    </ul>
  );
}

function OpenStore({ store }: { store: Store }) {
  return (
    <>
      <p>
        <a href="#/documents">‹ All stores</a>
      </p>
      <Search store={store.id} />
      <Files store={store.id} />
    </>
  );
}

function StoreActions({ store }: { store: Store }) {
  const name = store.name ?? store.id;
  const renamed = async () => {
    const text = await ask({ title: "Rename the store", text: "Its name:", value: name, yes: "Rename" });
    if (text?.trim()) await renameStore(store.id, text.trim()).then(loadStores);
  };
  const deleted = async () => {
    const answer = await ask({ title: "Delete the store?", text: `“${name}” is removed from the server; its files stay in other stores.`, yes: "Delete", danger: true });
    if (answer === null) return;
    await deleteStore(store.id);
    await loadStores();
    go("documents");
  };
  return (
    <>
      <button type="button" class="quiet" aria-label="Rename the store" title="Rename" onClick={() => attempt(renamed)}>
        <Icon name="edit" />
      </button>
      <button type="button" class="quiet" aria-label="Delete the store" title="Delete" onClick={() => attempt(deleted)}>
        <Icon name="trash" />
      </button>
    </>
  );
}
