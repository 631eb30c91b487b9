/** Search in a store: passages with scores, by attributes too. */
import { useSignal } from "@preact/signals";
import { message } from "../api/client";
import { type Hit, search } from "../api/documents";
import { change } from "../chat/settings";
import { Icon } from "../ui/icons";
import { newChat } from "../ui/shortcuts";
import { toFilter } from "./attributes";
import { read, snippet } from "./reading";

export function Search({ store }: { store: string }) {
  const hits = useSignal<Hit[] | null>(null);
  const error = useSignal("");
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const query = String(form.get("query")).trim();
    hits.value = null;
    error.value = "";
    if (!query) return;
    try {
      hits.value = await search(store, query, toFilter(String(form.get("filter"))));
    } catch (failed) {
      error.value = message(failed);
    }
  };
  const askThem = () => {
    newChat();
    change({ stores: [store] });
  };
  return (
    <section aria-label="Search">
      <form class="search-form" onSubmit={(event) => void submit(event)}>
        <input name="query" type="search" placeholder="Search these documents" aria-label="Search these documents" />
        <input name="filter" placeholder="filter: year >= 2025" aria-label="Filter by attributes" class="filter" />
        <button type="submit">
          <Icon name="search" /> Search
        </button>
        <button type="button" class="primary" onClick={askThem}>
          <Icon name="chat" /> Ask them
        </button>
      </form>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      {hits.value && (
        <ol class="hits" aria-label="What was found">
          {hits.value.map((hit) => (
            <li key={hit.chunk_id}>
              <button type="button" class="passage" onClick={() => read({ ...hit, vector_store_id: store })}>
                <strong>{hit.filename}</strong>
                <span class="dim">
                  {hit.page !== null && ` p. ${hit.page} ·`} {hit.headings.join(" › ")}
                </span>
                <span class="score" title={`score ${hit.score.toFixed(3)}`}>
                  <meter min={0} max={1} value={hit.score} aria-label={`score ${hit.score.toFixed(2)}`} /> {hit.score.toFixed(2)}
                </span>
                <span class="snippet">{snippet(hit.content.map((part) => part.text).join("\n"))}</span>
              </button>
            </li>
          ))}
          {!hits.value.length && <li class="dim">Nothing was found.</li>}
        </ol>
      )}
    </section>
  );
}
