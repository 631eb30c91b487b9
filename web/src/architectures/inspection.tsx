/** A text of one's own in the served model: what each token looks at in a layer and head, and which experts compute it. */
import { type Signal, useSignal } from "@preact/signals";
import { type Inspection, inspect } from "../api/architectures";
import { message } from "../api/client";
import { plural } from "../ui/format";

const START = "The animal did not cross the street because it was too tired.";
const CELL = 14;

interface Asked {
  layer: number | null;
  head: number;
}

export function InspectedText({ model }: { model: string }) {
  const text = useSignal(START);
  const found = useSignal<Inspection | null>(null);
  const error = useSignal("");
  const asked = useSignal<Asked>({ layer: null, head: 0 });
  const look = async (change: Partial<Asked>) => {
    const now = (asked.value = { ...asked.value, ...change });
    const [told, failed] = await inspect(model, text.value, now.layer, now.head).then(
      (one) => [one, ""] as const,
      (wrong) => [found.value, message(wrong)] as const,
    );
    if (now === asked.value) [found.value, error.value] = [told, failed];
  };
  const told = found.value;
  return (
    <section class="figure" aria-label="A text in the model">
      <h2>A text of yours in {model}</h2>
      <form class="search-form" onSubmit={(event) => (event.preventDefault(), void look({}))}>
        <input aria-label="A short text" value={text.value} maxLength={4000} onInput={(event) => (text.value = event.currentTarget.value)} />
        <button type="submit" class="primary" disabled={!text.value}>
          Look inside
        </button>
      </form>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      {!told && !error.value && <p class="dim">What do its tokens look at, and, where there are experts, which of them compute it? Up to 128 tokens.</p>}
      {told?.attention && <Attention told={told} attention={told.attention} choose={look} />}
      {told && told.experts.length > 0 && <Experts told={told} />}
      {told && !told.attention && <p class="dim">No layer of this model has attention weights to tell.</p>}
    </section>
  );
}

type Told = NonNullable<Inspection["attention"]>;

function Attention({ told, attention, choose }: { told: Inspection; attention: Told; choose: (change: Partial<Asked>) => Promise<void> }) {
  const { layer, head, weights } = attention;
  const headsOf = (one: number) => told.layers.find((known) => known.layer === one)?.heads ?? 1;
  const chosen = useSignal(weights.length - 1);
  const at = Math.min(chosen.value, weights.length - 1);
  const row = weights[at]!;
  const most = row.indexOf(Math.max(...row));
  return (
    <>
      <div class="row" role="group" aria-label="Which attention">
        <Choice name="Layer" value={layer} of={told.layers.map((one) => one.layer)} choose={(value) => void choose({ layer: value, head: Math.min(head, headsOf(value) - 1) })} />
        <Choice name="Head" value={head} of={Array.from({ length: headsOf(layer) }, (_, i) => i)} choose={(value) => void choose({ head: value })} />
      </div>
      <div class="pattern">
        <Grid weights={weights} chosen={chosen} told={`“${told.tokens[at]!.text}” looks most at “${told.tokens[most]!.text}”`} />
        <div class="grow">
          <Sentence told={told} at={at} shares={row} choose={(token) => (chosen.value = token)} />
          <p class="dim">
            “{told.tokens[at]!.text.trim()}” gives {percent(row[most]!)} of its attention to “{told.tokens[most]!.text.trim()}”. Rows of the square look, columns are looked at.
          </p>
        </div>
      </div>
    </>
  );
}

function Choice({ name, value, of, choose }: { name: string; value: number; of: number[]; choose: (value: number) => void }) {
  return (
    <label class="row">
      {name}
      <select aria-label={name} value={value} onChange={(event) => choose(Number(event.currentTarget.value))}>
        {of.map((one) => (
          <option key={one} value={one}>
            {one}
          </option>
        ))}
      </select>
    </label>
  );
}

function Grid({ weights, chosen, told }: { weights: number[][]; chosen: Signal<number>; told: string }) {
  const count = weights.length;
  const at = Math.min(chosen.value, count - 1);
  const choose = (token: number) => (chosen.value = Math.min(count - 1, Math.max(0, token)));
  return (
    <svg
      viewBox={`0 0 ${count * CELL} ${count * CELL}`}
      role="slider"
      tabindex={0}
      aria-label="The token that looks"
      aria-valuemin={1}
      aria-valuemax={count}
      aria-valuenow={at + 1}
      aria-valuetext={told}
      onKeyDown={(event) => {
        const by = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
        if (by) event.preventDefault(), choose(Math.min(chosen.value, count - 1) + by);
      }}
      onPointerMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        choose(Math.floor(((event.clientY - box.top) / box.height) * count));
      }}
    >
      {weights.map((row, i) => (
        <g key={i} class={i === at ? "looking" : ""}>
          <rect class="cell" x={0} y={i * CELL} width={count * CELL} height={CELL} />
          {row.map((share, j) => share >= 0.005 && <rect key={j} class="share" x={j * CELL} y={i * CELL} width={CELL} height={CELL} fill-opacity={Math.sqrt(share)} />)}
        </g>
      ))}
    </svg>
  );
}

function Sentence({ told, at, shares, choose }: { told: Inspection; at: number; shares: number[]; choose: (token: number) => void }) {
  return (
    <p class="sentence">
      {told.tokens.map(({ text }, j) => (
        <span key={j} class={`word tinted${j === at ? " looks" : ""}`} title={percent(shares[j]!)} style={{ "--share": String(Math.sqrt(shares[j]!)) }} onPointerEnter={() => choose(j)}>
          {text.trim() || "␣"}
        </span>
      ))}
    </p>
  );
}

/** One layer's choices: tokens against experts, and how often each expert was taken. */
function Experts({ told }: { told: Inspection }) {
  const at = useSignal(0);
  const { layer, experts, chosen, weights } = told.experts[Math.min(at.value, told.experts.length - 1)]!;
  const counts = Array.from({ length: experts }, (_, expert) => chosen.filter((row) => row.includes(expert)).length);
  return (
    <>
      <h3>Experts</h3>
      <div class="row">
        <Choice name="Layer with experts" value={layer} of={told.experts.map((one) => one.layer)} choose={(value) => (at.value = told.experts.findIndex((one) => one.layer === value))} />
        <span class="dim">
          Of {plural(experts, "expert")}, {chosen[0]?.length ?? 0} compute each token; {counts.filter(Boolean).length} are used here.
        </span>
      </div>
      <div class="scrolled" tabindex={0} role="region" aria-label="Experts of the tokens">
        <table class="experts">
          <thead>
            <tr>
              <th scope="col">Token</th>
              {counts.map((count, expert) => (
                <th key={expert} scope="col" title={`${count} tokens`}>
                  {expert}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {chosen.map((row, token) => (
              <tr key={token}>
                <th scope="row">{told.tokens[token]!.text.trim() || "␣"}</th>
                {counts.map((_, expert) => {
                  const place = row.indexOf(expert);
                  return (
                    <td key={expert} class="tinted" style={{ "--share": String(place < 0 ? 0 : Math.sqrt(Math.min(1, weights[token]![place]!))) }}>
                      {place < 0 ? "" : percent(weights[token]![place]!)}
                    </td>
                  );
                })}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
