/** Asking: a message goes out, an answer comes in, and what came of it stands in the branch. */
import { signal } from "@preact/signals";
import { ApiError, message } from "../api/client";
import * as conversations from "../api/conversations";
import { type ApprovalResponse, type Item, type Message, type Part, textOf, userMessage } from "../api/items";
import { type Answer, EMPTY } from "../api/answer";
import { stream } from "../api/responses";
import { go } from "../ui/route";
import { settings, toRequest } from "./settings";
import { addBranch, changeBranch, currentBranch, open, touch } from "./state";
import { titleOf } from "./tree";

export interface Live {
  sent: Item[];
  answer: Answer;
  stop: AbortController;
  error: ApiError | null;
}

/** What is being answered, or has failed, by branch. */
export const live = signal<Record<string, Live>>({});
/** How long answers took, by the id of their first item. */
export const measured = signal<Record<string, Answer>>({});

function setLive(branch: string, next: Live | null): void {
  const { [branch]: _, ...others } = live.value;
  live.value = next ? { ...others, [branch]: next } : others;
}

export function isBusy(): boolean {
  const now = live.value[open.value.current];
  return now !== undefined && now.error === null;
}

export async function sendText(text: string, pictures: readonly Part[] = []): Promise<void> {
  const branch = currentBranch() ?? (await addBranch([], titleOf(text || "A picture")));
  if (location.hash !== `#/chat/${open.value.id}`) go("chat", open.value.id);
  await answer(branch.id, [userMessage(text, pictures)]);
}

/** Asks again: what stood before item `at`, then `user`, whose answer is another branch. */
export async function branchOff(at: number, user: Message): Promise<void> {
  const before = currentBranch()!.items.slice(0, at);
  const branch = await addBranch(before, titleOf(textOf(user)));
  await answer(branch.id, [user]);
}

export async function decide(approvals: ApprovalResponse[]): Promise<void> {
  await answer(open.value.current, approvals);
}

export async function retry(): Promise<void> {
  const failed = live.value[open.value.current];
  if (failed) await answer(open.value.current, failed.sent);
}

export function stop(): void {
  live.value[open.value.current]?.stop.abort();
}

async function answer(branch: string, sent: Item[]): Promise<void> {
  const stop = new AbortController();
  let current: Live = { sent, answer: EMPTY, stop, error: null };
  const show = (answer: Answer) => setLive(branch, (current = { ...current, answer }));
  show(EMPTY);
  try {
    const body = { ...toRequest(settings.value), conversation: branch, input: sent };
    const done = await stream(body, stop.signal, show);
    if (done.status === "failed") throw new ApiError(200, done.error ?? "The answer failed.");
    keep(branch, sent, done);
    await touch(branch);
  } catch (error) {
    if (stop.signal.aborted) await keepPartial(branch, current);
    else setLive(branch, { ...current, error: error instanceof ApiError ? error : new ApiError(0, message(error)) });
  }
}

function keep(branch: string, sent: Item[], done: Answer): void {
  const first = done.items[0];
  if (first?.id) measured.value = { ...measured.value, [first.id]: done };
  changeBranch(branch, (known) => ({ ...known, items: [...known.items, ...sent, ...done.items], updated: Date.now() }));
  setLive(branch, null);
}

/** The server forgets an answer that is broken off; what has come of it is kept. */
async function keepPartial(branch: string, current: Live): Promise<void> {
  const items = partial(current);
  keep(branch, items.slice(0, current.sent.length), { ...current.answer, items: items.slice(current.sent.length) });
  await conversations.addItems(branch, items);
  await touch(branch);
}

function partial({ sent, answer }: Live): Item[] {
  const said = answer.items.filter((item) => item.type === "message" && textOf(item));
  return [...sent, ...said.map((item) => ({ ...item, status: "incomplete" }) as Item)];
}

/** Who leaves while an answer comes keeps what was said. */
addEventListener("pagehide", () => {
  for (const [branch, current] of Object.entries(live.value)) {
    if (!current.error) void conversations.addItems(branch, partial(current), { keepalive: true }).catch(() => undefined);
  }
});
