/** Where a message is written, and what it is answered with: documents, tools, the model. */
import { effect, signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { message } from "../api/client";
import { textOf } from "../api/items";
import { chatModels, contextOf, hearingModel, knows, seeing } from "../api/system";
import { tell } from "../ui/dialogs";
import { Icon } from "../ui/icons";
import { attach, canAttach } from "./attach";
import { AttachedDocuments, documents, isReading } from "./attached_documents";
import { Choices } from "./choices";
import { attached, AttachedPictures, toPart } from "./pictures";
import { isBusy, live, measured, sendText, stop } from "./send";
import { change, modelName } from "./settings";
import { currentBranch, open } from "./state";
import { turns } from "./tree";

export const draft = signal("");

effect(() => {
  if (draft.value) document.querySelector<HTMLTextAreaElement>("#message")?.focus();
});

export function Composer() {
  const area = useRef<HTMLTextAreaElement>(null);
  const busy = isBusy();
  useEffect(() => fit(area.current!), [draft.value]);
  useEffect(() => area.current?.focus({ preventScroll: true }), [open.value.id]);
  const before = useRef("");
  useEffect(() => {
    if (before.current || !open.value.id) documents.value = []; // another chat, not the first message of this one
    before.current = open.value.id;
  }, [open.value.id]);
  const submit = () => {
    const text = draft.value.trim();
    const pictures = attached.value;
    if ((!text && !pictures.length) || isBusy()) return;
    if (isReading()) return tell("Documents are still being read.");
    draft.value = "";
    attached.value = [];
    sendText(text, pictures.map(toPart)).catch((error) => {
      draft.value = text;
      attached.value = pictures;
      tell(message(error));
    });
  };
  return (
    <form class="composer" onSubmit={(event) => (event.preventDefault(), submit())} onDragOver={(event) => event.preventDefault()} onDrop={drop}>
      <AttachedPictures />
      <AttachedDocuments />
      <textarea
        id="message"
        ref={area}
        rows={1}
        placeholder="Ask anything"
        aria-label="Your message"
        value={draft.value}
        onInput={(event) => (draft.value = event.currentTarget.value)}
        onKeyDown={(event) => onKey(event, submit)}
        onPaste={(event) => takeFiles(event, event.clipboardData)}
      />
      <div class="composer-row">
        {canAttach(modelName()) && <AttachButton />}
        <Choices />
        <ModelChoice />
        <Context />
        {busy ? (
          <button type="button" class="round" aria-label="Stop (Esc)" title="Stop (Esc)" onClick={stop}>
            <Icon name="stop" />
          </button>
        ) : (
          <button type="submit" class="round primary" aria-label="Send (Enter)" title="Send (Enter)" disabled={!draft.value.trim() && !attached.value.length}>
            <Icon name="send" />
          </button>
        )}
      </div>
    </form>
  );
}

function onKey(event: KeyboardEvent, submit: () => void): void {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !draft.value) {
    const buttons = document.querySelectorAll<HTMLButtonElement>('button[aria-label="Edit the message"]');
    event.preventDefault();
    buttons[buttons.length - 1]?.click();
  }
}

function fit(area: HTMLTextAreaElement): void {
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 260)}px`;
}

function AttachButton() {
  const kinds = knows() ? "" : [seeing(modelName()) && "image/*", hearingModel() && "audio/*,video/*"].filter(Boolean).join(",");
  const what = !kinds ? "Attach files" : kinds.startsWith("image/") ? "Attach a picture" : "Attach a recording: what is said in it becomes text";
  const take = (input: HTMLInputElement) => void addFiles(input.files).then(() => (input.value = "")); // the same one may come again
  return (
    <label class="quiet attach" title={what}>
      <Icon name="clip" />
      <span class="hidden">{what}</span>
      <input type="file" class="hidden" accept={kinds} multiple onChange={(event) => take(event.currentTarget)} />
    </label>
  );
}

function drop(event: DragEvent): void {
  event.preventDefault();
  takeFiles(event, event.dataTransfer);
}

function takeFiles(event: Event, data: DataTransfer | null): void {
  if (!data?.files.length) return;
  event.preventDefault();
  void addFiles(data.files);
}

async function addFiles(files: FileList | null): Promise<void> {
  for (const file of files ?? []) {
    try {
      tell(`${file.name} is being read …`);
      const text = await attach(file, modelName());
      if (text) draft.value = `${draft.value}${draft.value && "\n\n"}${text}`;
      else tell("");
    } catch (error) {
      tell(message(error));
    }
  }
}

function ModelChoice() {
  const known = chatModels();
  if (known.length < 2) return <span class="model dim">{modelName()}</span>;
  return (
    <select class="model" aria-label="Model" value={modelName()} onChange={(event) => change({ model: event.currentTarget.value })}>
      {known.map(({ id }) => (
        <option key={id}>{id}</option>
      ))}
    </select>
  );
}

/** How much of the context the chat fills, as far as its last answer told. */
function Context() {
  const most = contextOf(modelName());
  const branch = currentBranch();
  const last = turns(branch?.items ?? []).at(-1)?.answer[0]?.id;
  const usage = (live.value[open.value.current]?.answer ?? (last ? measured.value[last] : undefined))?.usage;
  const characters = branch?.items.reduce((sum, item) => sum + textOf(item).length, 0) ?? 0;
  const used = usage ? usage.input_tokens + usage.output_tokens : Math.round(characters / 4);
  if (!most || !used) return <span class="grow" />;
  const label = `${usage ? "" : "about "}${used} of ${most} tokens of the context`;
  return (
    <span class="grow context" title={label}>
      <meter min={0} max={most} high={most * 0.8} value={used} aria-label={label} />
      <span class="dim">{Math.round((100 * used) / most)} %</span>
    </span>
  );
}
