/** Architectures: the served models layer by layer, kinds of attention, memory, scaling. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Architecture, type Description, describe, type View } from "../api/architectures";
import { message } from "../api/client";
import { chatModels } from "../api/system";
import { bytes, plural, short } from "../ui/format";
import { Head } from "../ui/sidebar";
import { InspectedText } from "./inspection";
import { Memory } from "./memory";
import { PatternView } from "./pattern_view";
import { Scaling } from "./scaling";

export function ArchitecturesPage() {
  const chosen = useSignal(chatModels()[0]?.id ?? "");
  const found = useSignal<Architecture | null>(null);
  const error = useSignal("");
  useEffect(() => {
    describe({ model: chosen.value }).then(
      (told) => ([found.value, error.value] = [told, ""]),
      (failed) => (error.value = message(failed)),
    );
  }, [chosen.value]);
  return (
    <div class="room-page">
      <Head title="Architectures">
        {chatModels().length > 1 && (
          <select aria-label="Model" value={chosen.value} onChange={(event) => (chosen.value = event.currentTarget.value)}>
            {chatModels().map(({ id }) => (
              <option key={id}>{id}</option>
            ))}
          </select>
        )}
      </Head>
      <div class="room-body">
        {error.value && <p class="dim">{error.value}</p>}
        {found.value && <Model name={chosen.value} told={found.value} />}
        {chosen.value && <InspectedText key={chosen.value} model={chosen.value} />}
        <PatternView />
        <Memory />
        <Scaling own={found.value && { name: chosen.value, ...found.value.description }} />
      </div>
    </div>
  );
}

function Model({ name, told: { architecture, description } }: { name: string; told: Architecture }) {
  const facts: [string, string][] = [
    ["Parameters", short(description.parameters)],
    ["Active for a token", short(description.active_parameters)],
    ["FLOPs for a token", short(description.flops_per_token)],
    ["Context", `${short(description.context)} tokens`],
    ["Memory of a token", bytes(description.bytes_per_token)],
    ["Memory of a full context", bytes(description.bytes_per_context)],
  ];
  return (
    <section class="figure" aria-label={name}>
      <h2>
        {name} <span class="dim">{architecture}</span>
      </h2>
      <dl class="facts">
        {facts.map(([what, value]) => (
          <div key={what}>
            <dt class="dim">{what}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Layers description={description} />
    </section>
  );
}

/** Layers from the first to the last, those that see alike in one colour. */
function Layers({ description }: { description: Description }) {
  const at = useSignal(0);
  const viewOf = (layer: number) => description.views.findIndex((view) => view.layers.includes(layer));
  const cache = description.caches.find(({ layers }) => layers.includes(at.value));
  const view = description.views[viewOf(at.value)];
  return (
    <>
      <div class="layers" role="group" aria-label="Layers">
        {Array.from({ length: description.layers }, (_, layer) => (
          <button
            key={layer}
            type="button"
            class={`layer kind-${viewOf(layer) + 1}`}
            aria-label={`Layer ${layer}`}
            aria-pressed={layer === at.value}
            onClick={() => (at.value = layer)}
            onPointerEnter={() => (at.value = layer)}
          />
        ))}
      </div>
      <p class="dim" aria-live="polite">
        Layer {at.value} of {description.layers}: {view ? seen(view) : "sees no other token"}
        {cache ? `; of each token it keeps ${cache.per_token.map((shape) => shape.join(" × ")).join(" and ")} numbers` : "; it keeps a state that does not grow, or nothing"}.
      </p>
    </>
  );
}

function seen({ reach, ahead, keys }: View): string {
  const back = reach === null ? "all tokens before" : reach <= 1 ? "itself" : `the last ${plural(reach, "token")}`;
  return `sees ${back}${ahead === 0 ? "" : ahead === null ? " and all after" : ` and ${ahead} after`}, at most ${short(keys)} keys`;
}
