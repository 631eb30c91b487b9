/** How a chat is answered. A field that is empty has the server's default; limits are the server's own. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { chatModels, type Limits, loadLimits, standardOf } from "../api/system";
import { Icon } from "../ui/icons";
import { change, LONGEST_SYSTEM, modelName, type NumberName, settings } from "./settings";

const FIELDS: readonly { name: NumberName; label: string; standard: string; step: number; hint: string }[] = [
  { name: "temperature", label: "Temperature", standard: "1", step: 0.1, hint: "0, as with documents: always the likeliest word" },
  { name: "top_p", label: "Top p", standard: "1", step: 0.05, hint: "only the likeliest words, up to this share" },
  { name: "top_k", label: "Top k", standard: "all", step: 1, hint: "only so many of the likeliest words" },
  { name: "max_output_tokens", label: "Longest answer", standard: "what the context leaves", step: 16, hint: "in tokens" },
  { name: "presence_penalty", label: "Presence penalty", standard: "0", step: 0.1, hint: "against words that were said" },
  { name: "frequency_penalty", label: "Frequency penalty", standard: "0", step: 0.1, hint: "against words that were said often" },
  { name: "seed", label: "Seed", standard: "another each time", step: 1, hint: "the same seed, the same answer" },
];

export function SettingsPanel({ close }: { close: () => void }) {
  const limits = useSignal<Record<string, Limits>>({});
  useEffect(() => {
    void loadLimits().then((found) => (limits.value = found));
  }, []);
  return (
    <aside class="panel" aria-label="Settings of this chat" onKeyDown={(event) => event.key === "Escape" && close()}>
      <header class="panel-head">
        <h2>Settings</h2>
        <button type="button" class="quiet" aria-label="Close the settings" onClick={close}>
          <Icon name="close" />
        </button>
      </header>
      <label class="field">
        <span>Model</span>
        <select value={modelName()} onChange={(event) => change({ model: event.currentTarget.value })}>
          {chatModels().map(({ id }) => (
            <option key={id}>{id}</option>
          ))}
        </select>
      </label>
      <label class="field">
        <span>System prompt</span>
        <textarea rows={5} maxLength={LONGEST_SYSTEM} placeholder="none" value={settings.value.system} onInput={(event) => change({ system: event.currentTarget.value })} />
      </label>
      {FIELDS.map((field) => (
        <NumberField key={field.name} {...field} limits={limits.value[field.name] ?? {}} />
      ))}
      <fieldset class="field">
        <legend>Tools ask before</legend>
        <label class="option">
          <input type="radio" name="asking" checked={settings.value.asking === "writes"} onChange={() => change({ asking: "writes" })} /> what may change something
        </label>
        <label class="option">
          <input type="radio" name="asking" checked={settings.value.asking === "always"} onChange={() => change({ asking: "always" })} /> every call
        </label>
      </fieldset>
      <button type="button" onClick={() => change({ numbers: {}, system: "" })}>
        Back to the server's defaults
      </button>
    </aside>
  );
}

interface NumberProps {
  name: NumberName;
  label: string;
  standard: string;
  step: number;
  hint: string;
  limits: Limits;
}

function NumberField({ name, label, standard, step, hint, limits }: NumberProps) {
  const { [name]: value, ...others } = settings.value.numbers;
  const wrong = value !== undefined && (value < (limits.least ?? -Infinity) || value > (limits.most ?? Infinity));
  const set = (text: string) => change({ numbers: text === "" || Number.isNaN(Number(text)) ? others : { ...others, [name]: Number(text) } });
  const readable = limits.least !== undefined && limits.most !== undefined && limits.most < 1e6 ? `${limits.least} to ${limits.most}` : limits.least !== undefined ? `from ${limits.least}` : "";
  return (
    <label class="field">
      <span>{label}</span>
      <input
        type="number"
        step={step}
        min={limits.least}
        max={limits.most}
        placeholder={String(standardOf(modelName(), name) || standard)}
        value={value ?? ""}
        aria-invalid={wrong}
        onInput={(event) => set(event.currentTarget.value)}
      />
      <small class={wrong ? "error" : "dim"}>{[hint, readable].filter(Boolean).join(" · ")}</small>
    </label>
  );
}
