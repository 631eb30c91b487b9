/** How fast an answer came. */
import type { Answer } from "../api/answer";

export function Stats({ answer }: { answer: Answer | undefined }) {
  if (!answer?.usage || answer.first === null) return null;
  const { input_tokens, output_tokens, input_tokens_details } = answer.usage;
  const seconds = (answer.last - answer.first) / 1000;
  const rate = output_tokens > 1 && seconds > 0 ? `${((output_tokens - 1) / seconds).toFixed(output_tokens / seconds < 10 ? 1 : 0)} tokens/s` : null;
  const cached = input_tokens_details?.cached_tokens ?? 0;
  const whole = `${input_tokens} tokens read (${cached} from the cache), ${output_tokens} written`;
  return (
    <span class="stats dim" title={whole}>
      {[rate, `first word after ${(answer.first / 1000).toFixed(2)} s`, `${output_tokens} tokens`].filter(Boolean).join(" · ")}
      {answer.status === "incomplete" && " · cut at the limit of tokens"}
    </span>
  );
}
