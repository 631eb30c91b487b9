/** Questions that the page asks, one at a time, and what it tells in passing. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

interface Question {
  title: string;
  text: string;
  /** What is shown word for word, such as an address. */
  detail?: string;
  yes: string;
  danger?: boolean;
  /** A question for a text, which begins with this. */
  value?: string;
  answer: (value: string | null) => void;
}

const question = signal<Question | null>(null);
export const notice = signal("");
let fading: ReturnType<typeof setTimeout> | undefined;

export function tell(text: string): void {
  notice.value = text;
  clearTimeout(fading);
  fading = setTimeout(() => (notice.value = ""), 4000);
}

export function ask(asked: Omit<Question, "answer">): Promise<string | null> {
  return new Promise((resolve) => {
    question.value = { ...asked, answer: resolve };
  });
}

export function askToOpen(address: string): void {
  const text = "The link stands in a text that a model, a document or a tool has written. It opens in a new tab.";
  void ask({ title: "Open this link?", text, detail: address, yes: "Open" }).then((answer) => {
    if (answer !== null) window.open(address, "_blank", "noopener,noreferrer");
  });
}

export function Dialogs() {
  const asked = question.value;
  return (
    <>
      {asked && <Dialog key={asked.title} asked={asked} />}
      <div class="notice" role="status" aria-live="polite" hidden={!notice.value}>
        {notice.value}
      </div>
    </>
  );
}

function Dialog({ asked }: { asked: Question }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    dialog.current?.showModal();
    input.current?.select();
  }, []);
  const close = (value: string | null) => {
    question.value = null;
    asked.answer(value);
  };
  const submit = (event: Event) => {
    event.preventDefault();
    close(input.current?.value ?? "");
  };
  return (
    <dialog ref={dialog} class="dialog" aria-labelledby="dialog-title" onCancel={() => close(null)}>
      <form onSubmit={submit}>
        <h2 id="dialog-title">{asked.title}</h2>
        <p>{asked.text}</p>
        {asked.detail && <p class="detail">{asked.detail}</p>}
        {asked.value !== undefined && <input ref={input} aria-label={asked.title} value={asked.value} />}
        <div class="row end">
          <button type="button" onClick={() => close(null)}>
            Cancel
          </button>
          <button type="submit" class={asked.danger ? "danger" : "primary"}>
            {asked.yes}
          </button>
        </div>
      </form>
    </dialog>
  );
}
