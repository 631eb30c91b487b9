/** What one text takes in memory, by the kind of attention: sliders here, numbers from the server. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type Description, describe } from "../api/architectures";
import { message } from "../api/client";
import { bytes, short } from "../ui/format";
import { attention, divisors, SIZES, type Sizes, sliding, stateSpace } from "./configs";

interface Bar {
  name: string;
  bytes: number;
  told: string;
}

const TOLD: Record<string, string> = { MHA: "a key and a value for each head", GQA: "heads share them in groups", MQA: "all heads share one", MLA: "one latent that all heads unfold" };

async function measure(sizes: Sizes, context: number, bytesPerNumber: number): Promise<[Bar[], Description]> {
  const asked = { context, bytes_per_number: bytesPerNumber };
  const [full, window, state] = await Promise.all(
    [attention(sizes, context), sliding(sizes, context), stateSpace(sizes)].map(async (config) => (await describe({ config, ...asked })).description),
  );
  const variants = full!.variants.map(({ name, bytes_per_context }) => ({ name, bytes: bytes_per_context, told: TOLD[name] ?? "" }));
  const others = [
    { name: "Sliding", bytes: window!.bytes_per_context, told: `the last ${short(sizes.window)} tokens alone` },
    { name: "SSM", bytes: state!.bytes_per_context, told: "one state, however long the text is" },
  ];
  return [[...variants, ...others], full!];
}

export function Memory() {
  const sizes = useSignal(SIZES);
  const power = useSignal(15);
  const width = useSignal(2);
  const bars = useSignal<Bar[]>([]);
  const model = useSignal<Description | null>(null);
  const error = useSignal("");
  const context = 2 ** power.value;
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      measure(sizes.value, context, width.value).then(
        ([found, description]) => {
          if (gone) return;
          [bars.value, model.value, error.value] = [found, description, ""];
        },
        (failed) => (error.value = message(failed)),
      );
    }, 60);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [sizes.value, context, width.value]);
  const set = (changed: Partial<Sizes>) => (sizes.value = { ...sizes.value, ...changed });
  const groups = divisors(sizes.value.heads);
  const most = Math.max(1, ...bars.value.map((bar) => bar.bytes));
  return (
    <section class="figure" aria-label="Memory of a text">
      <h2>What a text takes in memory</h2>
      <div class="sliders">
        <Slider label="Context" shown={short(context)} min={10} max={20} value={power.value} set={(value) => (power.value = value)} />
        <Slider label="Layers" min={1} max={96} value={sizes.value.layers} set={(layers) => set({ layers })} />
        <Slider label="Heads" min={1} max={64} value={sizes.value.heads} set={(heads) => set({ heads, groups: divisors(heads).findLast((n) => n <= sizes.value.groups) ?? 1 })} />
        <Slider label="Groups" shown={`${sizes.value.groups}`} min={0} max={groups.length - 1} value={groups.indexOf(sizes.value.groups)} set={(at) => set({ groups: groups[at]! })} />
        <Slider label="Head size" min={32} max={256} step={32} value={sizes.value.headDim} set={(headDim) => set({ headDim })} />
        <Slider label="Bytes a number" shown={`${width.value}`} min={0} max={2} value={Math.log2(width.value)} set={(value) => (width.value = 2 ** value)} />
      </div>
      {error.value && (
        <p class="error" role="alert">
          {error.value}
        </p>
      )}
      <ul class="bars">
        {bars.value.map((bar) => (
          <li key={bar.name}>
            <strong>{bar.name}</strong>
            <meter min={0} max={most} value={bar.bytes} aria-label={`${bar.name}: ${bytes(bar.bytes)}`} />
            <span class="value">{bytes(bar.bytes)}</span>
            <span class="dim told">{bar.told}</span>
          </li>
        ))}
      </ul>
      {model.value && (
        <p class="dim">
          A model of these sizes has {short(model.value.parameters)} parameters, computes {short(model.value.flops_per_token)} FLOPs for a token, and is best trained on{" "}
          {short(model.value.optimal_tokens)} tokens.
        </p>
      )}
    </section>
  );
}

interface SliderProps {
  label: string;
  shown?: string;
  min: number;
  max: number;
  step?: number;
  value: number;
  set: (value: number) => void;
}

function Slider({ label, shown, min, max, step = 1, value, set }: SliderProps) {
  return (
    <label class="slider">
      <span>
        {label} <b>{shown ?? value}</b>
      </span>
      <input type="range" min={min} max={max} step={step} value={value} aria-valuetext={shown ?? `${value}`} onInput={(event) => set(Number(event.currentTarget.value))} />
    </label>
  );
}
