/** Server-sent events of a POST, whose bodies EventSource cannot send. */
export interface Event {
  type: string;
  [field: string]: unknown;
}

/** Splits what has come into whole events and the rest. */
export function takeEvents(text: string): { events: Event[]; rest: string } {
  const parts = text.replaceAll("\r\n", "\n").split("\n\n");
  const rest = parts.pop() ?? "";
  const events: Event[] = [];
  for (const part of parts) {
    const data = part
      .split("\n")
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice(5).trimStart())
      .join("\n");
    if (data && data !== "[DONE]") events.push(JSON.parse(data) as Event);
  }
  return { events, rest };
}

export async function* readEvents(answer: Response): AsyncGenerator<Event> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const { events, rest } = takeEvents(waiting + value);
      waiting = rest;
      yield* events;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
