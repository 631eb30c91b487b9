/** The operator's room: health, load, speed and memory, drawn live from /metrics. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { key, message, send, setKey } from "../api/client";
import { models } from "../api/system";
import { bytes, short } from "../ui/format";
import { Head } from "../ui/sidebar";
import { labelled, type Look, mean, parse, rate, total } from "./metrics";

const OFTEN = 1000; // milliseconds
const KEPT = 120; // looks

export function OperatorPage() {
  const looks = useSignal<Look[]>([]);
  const health = useSignal("…");
  const error = useSignal("");
  useEffect(() => {
    let timer = 0;
    const look = async () => {
      try {
        const samples = parse(await (await send("/metrics")).text());
        looks.value = [...looks.value, { at: performance.now() / 1000, samples }].slice(-KEPT);
        health.value = await ready();
        error.value = "";
      } catch (failed) {
        error.value = message(failed);
      }
      timer = window.setTimeout(() => void look(), OFTEN);
    };
    void look();
    return () => clearTimeout(timer);
  }, []);
  const now = looks.value.at(-1);
  return (
    <div class="room-page">
      <Head title="Operator">
        <span class={`badge ${health.value}`}>{health.value}</span>
        {key.value && (
          <button type="button" onClick={() => (setKey(""), location.reload())}>
            Forget the key
          </button>
        )}
      </Head>
      <div class="room-body">
        {error.value && (
          <p class="error" role="alert">
            {error.value}
          </p>
        )}
        {now && <Charts looks={looks.value} />}
        {now && <Memory look={now} />}
        {now && <Requests look={now} />}
        <Models />
      </div>
    </div>
  );
}

async function ready(): Promise<string> {
  const answer = await fetch("/ready");
  return ((await answer.json()) as { status: string }).status;
}

function Charts({ looks }: { looks: Look[] }) {
  const steps = looks.slice(1).map((now, i) => [looks[i]!, now] as const);
  const now = looks.at(-1)!.samples;
  const rates = (name: string) => steps.map(([before, after]) => rate(before, after, name));
  const waits = steps.map(([before, after]) => mean(before, after, "stoa_time_to_first_token_seconds")).filter((one) => one !== null);
  const last = waits.at(-1);
  return (
    <div class="cards charts">
      <Chart name="Tokens a second" values={rates("stoa_generated_tokens_total")} shown={short} />
      <Chart name="Prompt tokens a second" values={rates("stoa_prompt_tokens_total")} shown={short} />
      <Chart name="Answers running" values={looks.map(({ samples }) => total(samples, "stoa_requests_running"))} shown={String} />
      <Chart name="Answers waiting" values={looks.map(({ samples }) => total(samples, "stoa_requests_waiting"))} shown={String} />
      <Chart name="First word after" values={waits} shown={() => (last === undefined ? "–" : `${last.toFixed(2)} s`)} />
      <Chart name="Files waiting" values={looks.map(({ samples }) => total(samples, "stoa_files_waiting"))} shown={() => String(total(now, "stoa_files_waiting"))} />
    </div>
  );
}

function Chart({ name, values, shown }: { name: string; values: number[]; shown: (value: number) => string }) {
  const most = Math.max(1e-9, ...values);
  const points = values.map((value, i) => `${((KEPT - values.length + i) / (KEPT - 1)) * 200},${44 - (value / most) * 40}`);
  return (
    <figure class="tile chart">
      <figcaption class="dim">{name}</figcaption>
      <strong>{shown(values.at(-1) ?? 0)}</strong>
      <svg viewBox="0 0 200 46" preserveAspectRatio="none" aria-hidden="true">
        <polyline points={points.join(" ")} />
      </svg>
    </figure>
  );
}

function Memory({ look: { samples } }: { look: Look }) {
  const pages = Object.fromEntries(labelled(samples, "stoa_pages").map(({ labels, value }) => [labels["state"] ?? "", value]));
  const all = Object.values(pages).reduce((sum, value) => sum + value, 0);
  const caches = labelled(samples, "stoa_cache_bytes").filter(({ value }) => value > 0);
  return (
    <section class="figure" aria-label="Memory">
      <h2>Memory</h2>
      <ul class="bars">
        {(["used", "cached", "free"] as const).map((state) => (
          <li key={state}>
            <strong>{state}</strong>
            <meter min={0} max={Math.max(1, all)} value={pages[state] ?? 0} aria-label={`${state}: ${pages[state] ?? 0} of ${all} pages`} />
            <span class="value">{short(pages[state] ?? 0)}</span>
            <span class="dim told">pages of the KV cache</span>
          </li>
        ))}
      </ul>
      <p class="dim">
        {caches.map(({ labels, value }) => `${labels["of"]}: ${bytes(value)}`).join(" · ")}
        {samples.has("stoa_disk_free_bytes") && ` · ${bytes(samples.get("stoa_disk_free_bytes")!)} free on the disk`}
      </p>
    </section>
  );
}

function Requests({ look: { samples } }: { look: Look }) {
  const found = labelled(samples, "stoa_requests_total").sort((a, b) => b.value - a.value);
  return (
    <section class="figure" aria-label="Requests">
      <h2>Requests since the start</h2>
      <div class="table" tabIndex={0}>
        <table>
          <thead>
            <tr>
              <th>Route</th>
              <th>Status</th>
              <th class="right">Count</th>
            </tr>
          </thead>
          <tbody>
            {found.slice(0, 60).map(({ labels, value }) => (
              <tr key={`${labels["route"]} ${labels["status"]}`}>
                <td>
                  <code>{labels["route"]}</code>
                </td>
                <td class={Number(labels["status"]) >= 400 ? "error" : ""}>{labels["status"]}</td>
                <td class="right">{value}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Models() {
  return (
    <section class="figure" aria-label="Models">
      <h2>Models</h2>
      <ul>
        {models.value.map(({ id, input_modalities, output_modalities, max_model_len }) => (
          <li key={id}>
            <strong>{id}</strong>{" "}
            <span class="dim">
              {input_modalities.join(", ")} to {output_modalities.join(", ")}
              {max_model_len !== null && ` · ${short(max_model_len)} tokens`}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
