/** A user's message and its answer, with what can be done about both. */
import { useSignal } from "@preact/signals";
import { picturesOf, textOf, userMessage } from "../api/items";
import { tell } from "../ui/dialogs";
import { Icon, type IconName } from "../ui/icons";
import { AnswerView } from "./answer";
import { draft } from "./composer";
import { Picture } from "./pictures";
import { branchOff, isBusy, type Live, measured, retry } from "./send";
import { choose, currentBranch, open } from "./state";
import { Stats } from "./stats";
import { alternatives, type Turn } from "./tree";

interface Props {
  turn: Turn;
  live: Live | undefined;
  last: boolean;
}

export function TurnView({ turn, live, last }: Props) {
  const answering = live !== undefined && !live.error;
  const first = turn.answer[0];
  return (
    <article class={`turn${last ? " last" : ""}`}>
      {turn.user && <UserMessage turn={turn} />}
      <AnswerView items={turn.answer} growing={answering} times={(live?.answer ?? (first && measured.value[first.id!]))?.times ?? {}} last={last} />
      {live?.error && <Failure live={live} text={turn.user ? textOf(turn.user) : ""} />}
      {turn.answer.length > 0 && !answering && (
        <div class="actions">
          <Switch at={turn.start + Number(turn.user !== null)} what="answer" />
          <Action icon="copy" name="Copy the answer" run={() => void copy(turn.answer.map((item) => (item.type === "message" ? textOf(item) : "")).join("\n"))} />
          {turn.user && <Action icon="again" name="Answer again" run={() => void branchOff(turn.start, turn.user!)} />}
          {first && <Stats answer={measured.value[first.id!]} />}
        </div>
      )}
    </article>
  );
}

function UserMessage({ turn }: { turn: Turn }) {
  const editing = useSignal(false);
  const text = textOf(turn.user!);
  if (editing.value) return <Editor text={text} cancel={() => (editing.value = false)} save={(changed) => void branchOff(turn.start, userMessage(changed, picturesOf(turn.user!)))} />;
  return (
    <div class="user">
      <h2 class="hidden">You</h2>
      <div class="sent">
        {picturesOf(turn.user!).map((part, at) => (
          <Picture key={part.file_id ?? at} part={part} />
        ))}
        {text && <div class="bubble">{text}</div>}
      </div>
      <div class="actions">
        <Switch at={turn.start} what="message" />
        <Action icon="edit" name="Edit the message" run={() => (editing.value = true)} />
        <Action icon="copy" name="Copy the message" run={() => void copy(text)} />
      </div>
    </div>
  );
}

function Editor({ text, cancel, save }: { text: string; cancel: () => void; save: (text: string) => void }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const changed = String(new FormData(event.target as HTMLFormElement).get("text")).trim();
    cancel();
    if (changed) save(changed);
  };
  return (
    <form class="editor" onSubmit={submit} onKeyDown={(event) => event.key === "Escape" && cancel()}>
      <textarea name="text" aria-label="Your message" rows={Math.min(12, text.split("\n").length + 1)} autofocus>
        {text}
      </textarea>
      <div class="row end">
        <span class="dim grow">The old message stays as another branch.</span>
        <button type="button" onClick={cancel}>
          Cancel
        </button>
        <button type="submit" class="primary">
          Send
        </button>
      </div>
    </form>
  );
}

function Action({ icon, name, run }: { icon: IconName; name: string; run: () => void }) {
  return (
    <button type="button" class="quiet" aria-label={name} title={name} disabled={icon === "again" && isBusy()} onClick={run}>
      <Icon name={icon} />
    </button>
  );
}

/** ‹ 2 / 3 › where a message was edited or an answer made again. */
function Switch({ at, what }: { at: number; what: string }) {
  const branch = currentBranch();
  const found = branch ? alternatives(open.value.branches, branch, at) : [];
  const here = found.findIndex((one) => one.id === branch?.id);
  if (found.length < 2 || isBusy()) return null;
  const step = (by: number) => () => choose(found[here + by]!);
  return (
    <span class="switch">
      <button type="button" class="quiet" aria-label={`Previous ${what}`} disabled={here === 0} onClick={step(-1)}>
        <Icon name="left" />
      </button>
      <span>
        {here + 1} / {found.length}
      </span>
      <button type="button" class="quiet" aria-label={`Next ${what}`} disabled={here === found.length - 1} onClick={step(1)}>
        <Icon name="right" />
      </button>
    </span>
  );
}

function Failure({ live, text }: { live: Live; text: string }) {
  const error = live.error!;
  return (
    <div class="failure" role="alert">
      <Icon name="warn" />
      <div>
        <p>{error.message}</p>
        {error.code === "context_length_exceeded" && <p class="dim">Begin a new chat, shorten the message, or edit an earlier one.</p>}
        <div class="row">
          <button type="button" onClick={() => void retry()}>
            Try again
          </button>
          {text && (
            <button type="button" onClick={() => (draft.value = text)}>
              Change the message
            </button>
          )}
        </div>
      </div>
    </div>
  );
}

async function copy(text: string): Promise<void> {
  await navigator.clipboard.writeText(text.trim());
  tell("Copied");
}
