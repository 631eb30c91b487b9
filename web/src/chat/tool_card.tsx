/** A call of a tool: server, tool, arguments, how long it took, what came of it. All of it is shown as text. */
import type { McpCall } from "../api/items";
import { Icon } from "../ui/icons";

const MOST = 20_000; // characters of a result that are shown

interface Props {
  call: McpCall;
  growing: boolean;
  time: [number, number?] | undefined;
}

export function ToolCard({ call, growing, time }: Props) {
  const failed = call.error !== null && call.error !== undefined;
  const running = growing && call.output === null && !failed;
  const seconds = time?.[1] === undefined ? null : (time[1] - time[0]) / 1000;
  const state = running ? "running …" : failed ? "failed" : seconds === null ? "done" : `${seconds.toFixed(seconds < 1 ? 2 : 1)} s`;
  return (
    <details class={`fold card${failed ? " failed" : ""}`} open={failed}>
      <summary>
        <Icon name={failed ? "warn" : "tools"} /> <strong>{call.name}</strong> <span class="dim">of {call.server_label}</span>
        <span class="state">{state}</span>
      </summary>
      <h3>Arguments</h3>
      <pre tabIndex={0}>{pretty(call.arguments)}</pre>
      {failed && (
        <>
          <h3>Error</h3>
          <pre tabIndex={0}>{errorText(call.error)}</pre>
        </>
      )}
      {call.output !== null && (
        <>
          <h3>Result</h3>
          <pre tabIndex={0}>{pretty(call.output).slice(0, MOST)}</pre>
          {call.output.length > MOST && <p class="dim">{call.output.length - MOST} further characters are not shown.</p>}
        </>
      )}
    </details>
  );
}

export function pretty(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

export function errorText(error: unknown): string {
  if (typeof error === "string") return error;
  const told = error as { message?: string; content?: { text?: string }[] };
  return told.message ?? told.content?.map((part) => part.text ?? "").join("\n") ?? JSON.stringify(error, null, 2);
}
