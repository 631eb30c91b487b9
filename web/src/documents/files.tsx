/** The files of a store as they come in: upload with progress, states as they change, reasons of failures, attributes, delete. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { message } from "../api/client";
import { deleteFile, listFiles, loadStores, setAttributes, stateOf, type StoreFile } from "../api/documents";
import { ask, tell } from "../ui/dialogs";
import { bytes, plural } from "../ui/format";
import { Icon } from "../ui/icons";
import { fromText, toText } from "./attributes";
import { read } from "./reading";
import { pending, uploadAll, uploads } from "./uploads";
import { filesOf } from "./dropped";

const OFTEN = 700; // milliseconds between looks while something changes

export function Files({ store }: { store: string }) {
  const files = useSignal<StoreFile[] | null>(null);
  const over = useSignal(false);
  const look = async () => (files.value = await listFiles(store));
  useEffect(() => {
    let timer = 0;
    let gone = false;
    const again = async () => {
      await look().catch((error) => tell(message(error)));
      const busy = pending(store) || files.value?.some(({ state }) => !["ready", "failed", "cancelled"].includes(state));
      if (!gone) timer = window.setTimeout(() => void again(), busy ? OFTEN : 4 * OFTEN);
    };
    void again();
    return () => {
      gone = true;
      clearTimeout(timer);
      void loadStores().catch(() => undefined);
    };
  }, []);
  const add = (chosen: File[]) => void uploadAll(store, chosen).then(look, (error) => tell(message(error)));
  const drop = (event: DragEvent) => {
    event.preventDefault();
    over.value = false;
    void filesOf(event.dataTransfer!).then(add);
  };
  return (
    <section
      class={`files${over.value ? " over" : ""}`}
      aria-label="Files"
      onDragOver={(event) => (event.preventDefault(), (over.value = true))}
      onDragLeave={() => (over.value = false)}
      onDrop={drop}
    >
      <label class="drop">
        <Icon name="upload" />
        <span>
          <strong>Drop files or folders here</strong>, or choose some
        </span>
        <input type="file" multiple class="hidden" onChange={(event) => (add([...(event.currentTarget.files ?? [])]), (event.currentTarget.value = ""))} />
      </label>
      <ul class="file-list" aria-live="polite" aria-busy={pending(store)}>
        {uploads.value
          .filter((one) => one.store === store)
          .map((one) => (
            <li key={one.key} class="file">
              <span class="grow">{one.name}</span>
              {one.error ? <span class="error">{one.error}</span> : <progress max={1} value={one.share} aria-label={`Upload of ${one.name}`} />}
            </li>
          ))}
        {files.value?.map((file) => <FileRow key={file.id} store={store} file={file} changed={look} />)}
      </ul>
      {files.value?.length === 0 && !pending(store) && <p class="dim">There are no files in this store yet.</p>}
    </section>
  );
}

function FileRow({ store, file, changed }: { store: string; file: StoreFile; changed: () => Promise<unknown> }) {
  const act = (run: () => Promise<unknown>) => () => void run().then(changed, (error) => tell(message(error)));
  const attributes = Object.entries(file.attributes);
  return (
    <li class="file">
      <div class="grow">
        <button type="button" class="text file-name" disabled={file.state !== "ready"} onClick={() => read({ vector_store_id: store, file_id: file.id, filename: file.filename })}>
          {file.filename}
        </button>
        <span class="dim"> {bytes(file.usage_bytes)}</span>
        {attributes.map(([name, value]) => (
          <span key={name} class="tag">
            {name}: {String(value)}
          </span>
        ))}
        {file.last_error && <p class="error">{file.last_error.message}</p>}
        {file.notes.length > 0 && (
          <details class="notes">
            <summary>{plural(file.notes.length, "note")}</summary>
            <ul>
              {file.notes.map((note) => (
                <li key={note}>{note}</li>
              ))}
            </ul>
          </details>
        )}
      </div>
      <State file={file} />
      <button type="button" class="quiet" aria-label={`Attributes of ${file.filename}`} title="Attributes" onClick={act(() => askAttributes(store, file))}>
        <Icon name="edit" />
      </button>
      <button type="button" class="quiet" aria-label={`Delete ${file.filename}`} title="Delete" onClick={act(() => askDelete(file))}>
        <Icon name="trash" />
      </button>
    </li>
  );
}

function State({ file }: { file: StoreFile }) {
  return <span class={`badge ${file.state}`}>{stateOf(file)}</span>;
}

async function askAttributes(store: string, file: StoreFile): Promise<void> {
  const text = await ask({ title: "Attributes", text: "What searches may filter by, such as: year = 2026, team = sales", value: toText(file.attributes), yes: "Save" });
  if (text !== null) await setAttributes(store, file.id, fromText(text));
}

async function askDelete(file: StoreFile): Promise<void> {
  const answer = await ask({ title: "Delete the file?", text: `“${file.filename}” is removed from the server, and from every store.`, yes: "Delete", danger: true });
  if (answer !== null) await deleteFile(file.id);
}
