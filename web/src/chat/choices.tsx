/** Which stores and tools a chat may use. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { loadStores, stores } from "../api/documents";
import { loadServers, servers } from "../api/tools";
import { Icon, type IconName } from "../ui/icons";
import { change, settings } from "./settings";

const shown = signal<"" | "stores" | "servers">("");

export function Choices() {
  return (
    <>
      <Choice
        what="stores"
        icon="documents"
        name="Documents"
        options={stores.value.map(({ id, name, file_counts }) => ({ id, name: name || id, note: `${file_counts.total} files` }))}
        load={loadStores}
        empty="There are no documents yet: add some under Documents."
      />
      <Choice
        what="servers"
        icon="tools"
        name="Tools"
        options={servers.value.map(({ label, state, tools }) => ({ id: label, name: label, note: state === "ready" ? `${tools.length} tools` : state }))}
        load={loadServers}
        empty="This server calls no MCP servers: --mcp-files, --mcp-database and --mcp-config add some."
      />
    </>
  );
}

interface Props {
  what: "stores" | "servers";
  icon: IconName;
  name: string;
  options: { id: string; name: string; note: string }[];
  load: () => Promise<void>;
  empty: string;
}

function Choice({ what, icon, name, options, load, empty }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const chosen = settings.value[what];
  const open = shown.value === what;
  useEffect(() => {
    if (!open) return;
    void load();
    box.current?.querySelector("input")?.focus();
    const close = (event: Event) => !box.current?.contains(event.target as Node) && (shown.value = "");
    addEventListener("pointerdown", close);
    return () => removeEventListener("pointerdown", close);
  }, [open]);
  const toggle = (id: string) => change({ [what]: chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id] });
  return (
    <div class="choice" ref={box} onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), (shown.value = ""))}>
      <button type="button" class={chosen.length ? "chip on" : "chip"} aria-label={chosen.length ? `${name} ${chosen.length} chosen` : name} aria-expanded={open} onClick={() => (shown.value = open ? "" : what)}>
        <Icon name={icon} /> <span class="chip-name">{name}</span>
        {chosen.length > 0 && <span class="count">{chosen.length}</span>}
      </button>
      {open && (
        <fieldset class="popover">
          <legend>{what === "stores" ? "Answer from these documents" : "The model may call tools of"}</legend>
          {options.map((option) => (
            <label key={option.id} class="option">
              <input type="checkbox" checked={chosen.includes(option.id)} onChange={() => toggle(option.id)} />
              <span class="grow">{option.name}</span>
              <span class="dim">{option.note}</span>
            </label>
          ))}
          {!options.length && <p class="dim">{empty}</p>}
        </fieldset>
      )}
    </div>
  );
}
