/** Asking /v1/responses for an answer that comes as it is written. */
import { after, type Answer, EMPTY } from "./answer";
import { ApiError, headers, send } from "./client";
import { readEvents } from "./sse";

/** Streams an answer; `show` is called at most once for each frame, and at the end. */
export async function stream(body: object, signal: AbortSignal, show: (answer: Answer) => void): Promise<Answer> {
  const begin = performance.now();
  const request = { method: "POST", body: JSON.stringify({ ...body, stream: true }), signal, headers: headers({ "content-type": "application/json" }) };
  let answer = EMPTY;
  let frame = 0;
  const draw = () => {
    frame = 0;
    show(answer);
  };
  try {
    for await (const event of readEvents(await send("/v1/responses", request))) {
      answer = after(answer, event, performance.now() - begin);
      frame ||= requestAnimationFrame(draw);
    }
  } finally {
    cancelAnimationFrame(frame);
    show(answer);
  }
  if (answer.status === "in_progress") throw new ApiError(0, "The connection to the server broke off.", "unreachable");
  return answer;
}
