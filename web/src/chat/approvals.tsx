/** Calls that wait for an approval: allowed once, or denied. When all are decided, the answer goes on. */
import { useSignal } from "@preact/signals";
import type { ApprovalRequest, Item } from "../api/items";
import { Icon } from "../ui/icons";
import { decide } from "./send";
import { currentBranch } from "./state";
import { openApprovals } from "./tree";
import { pretty } from "./tool_card";

export function Approvals({ items, busy }: { items: Item[]; busy: boolean }) {
  const decisions = useSignal<Record<string, boolean>>({});
  const waiting = busy ? [] : (openApprovals(currentBranch()?.items ?? []) as ApprovalRequest[]).filter((request) => items.some((item) => item.id === request.id));
  const say = (request: ApprovalRequest, approve: boolean) => {
    decisions.value = { ...decisions.value, [request.id]: approve };
    if (waiting.every(({ id }) => id in decisions.value)) {
      void decide(waiting.map(({ id }) => ({ type: "mcp_approval_response", approval_request_id: id, approve: decisions.value[id]! })));
    }
  };
  return (
    <>
      {waiting.map((request) => (
        <section key={request.id} class="approval" aria-label={`May ${request.name} be called?`}>
          <p>
            <Icon name="warn" /> May <strong>{request.name}</strong> of <strong>{request.server_label}</strong> be called with this?
          </p>
          <pre tabIndex={0}>{pretty(request.arguments)}</pre>
          <div class="row">
            <button type="button" class="primary" disabled={request.id in decisions.value} onClick={() => say(request, true)}>
              Allow once
            </button>
            <button type="button" disabled={request.id in decisions.value} onClick={() => say(request, false)}>
              Deny
            </button>
          </div>
        </section>
      ))}
    </>
  );
}
