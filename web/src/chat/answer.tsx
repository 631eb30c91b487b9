/** What the server did and said for one message: thoughts, searches, calls of tools, text with its sources. */
import type { Answer } from "../api/answer";
import { type FileSearch, type Item, type Message, type Reasoning, textOf } from "../api/items";
import { citationMark, withoutMarks } from "../markdown/render";
import { Markdown } from "../markdown/view";
import { read, snippet } from "../documents/reading";
import { Icon } from "../ui/icons";
import { Approvals } from "./approvals";
import { type Source, sourcesOf, withMarks } from "./sources";
import { ToolCard } from "./tool_card";

interface Props {
  items: Item[];
  growing: boolean;
  times: Answer["times"];
  last: boolean;
}

export function AnswerView({ items, growing, times, last }: Props) {
  const searches = items.filter((item) => item.type === "file_search_call");
  return (
    <div class="answer">
      {(items.length > 0 || growing) && <h2 class="hidden">Answer</h2>}
      {items.map((item, i) => (
        <ItemView key={item.id} item={item} growing={growing && i === items.length - 1} time={times[item.id!]} searches={searches} />
      ))}
      {last && <Approvals items={items} busy={growing} />}
      {growing && !items.some((item) => textOf(item)) && (
        <p class="thinking-dots" role="status">
          <span class="hidden">The answer is being written</span>
          <i />
          <i />
          <i />
        </p>
      )}
    </div>
  );
}

function ItemView({ item, growing, time, searches }: { item: Item; growing: boolean; time: [number, number?] | undefined; searches: FileSearch[] }) {
  switch (item.type) {
    case "message":
      return item.role === "assistant" ? <Said item={item} growing={growing} searches={searches} /> : null;
    case "reasoning":
      return <Thoughts item={item} growing={growing} time={time} />;
    case "file_search_call":
      return <Searched item={item} />;
    case "mcp_call":
      return <ToolCard call={item} growing={growing} time={time} />;
    default:
      return null;
  }
}

function Said({ item, growing, searches }: { item: Message; growing: boolean; searches: FileSearch[] }) {
  const text = withoutMarks(textOf(item));
  const annotations = item.content.flatMap((part) => part.annotations ?? []);
  const sources = sourcesOf(annotations);
  const silent = searches.length > 0 && !growing && !sources.length && text.length > 0;
  const nothing = searches.length > 0 && searches.every((search) => search.results?.length === 0);
  return (
    <div class={nothing && silent ? "said not-found" : "said"}>
      <Markdown text={withMarks(text, annotations, sources, citationMark)} growing={growing} onCite={(number) => read(sources[number - 1]!)} />
      {sources.length > 0 && <Sources sources={sources} />}
      {silent && !nothing && <p class="unsupported">No passage of the documents supports this answer.</p>}
    </div>
  );
}

function Sources({ sources }: { sources: Source[] }) {
  return (
    <ol class="sources" aria-label="Sources">
      {sources.map((source, i) => (
        <li key={i}>
          <button type="button" class="source" title={source.quote} onClick={() => read(source)}>
            <span class="cite">{i + 1}</span>
            <span class="source-name">{source.filename}</span>
            {source.page != null && <span class="dim">p. {source.page}</span>}
          </button>
        </li>
      ))}
    </ol>
  );
}

function Thoughts({ item, growing, time }: { item: Reasoning; growing: boolean; time: [number, number?] | undefined }) {
  const seconds = time?.[1] === undefined ? null : (time[1] - time[0]) / 1000;
  return (
    <details class="fold thoughts">
      <summary>
        <Icon name="thought" /> {growing ? "Thinking …" : seconds === null ? "Thoughts" : `Thought for ${seconds.toFixed(1)} s`}
      </summary>
      <Markdown text={withoutMarks(textOf(item))} growing={growing} />
    </details>
  );
}

function Searched({ item }: { item: FileSearch }) {
  const results = item.results ?? [];
  const said = item.status === "completed" ? `${results.length} ${results.length === 1 ? "passage" : "passages"}` : item.status === "failed" ? "failed" : "searching …";
  return (
    <details class="fold">
      <summary>
        <Icon name="search" /> Searched the documents · {said}
      </summary>
      {item.queries.length > 0 && <p class="dim">for {item.queries.map((query) => `“${query}”`).join(", ")}</p>}
      <ul class="passages">
        {results.map((result, i) => (
          <li key={i}>
            <button type="button" class="passage" onClick={() => read({ ...result, vector_store_id: result.vector_store_id ?? "" })}>
              <strong>{result.filename}</strong>
              <span class="dim">
                {result.page != null && ` p. ${result.page} ·`} score {result.score.toFixed(2)}
              </span>
              <span class="snippet">{snippet(result.text)}</span>
            </button>
          </li>
        ))}
      </ul>
    </details>
  );
}
