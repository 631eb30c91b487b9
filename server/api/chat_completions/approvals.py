"""The client's decisions about the calls that the last assistant message asked approval for."""

from collections.abc import Sequence

from server.api.chat_completions import message_types
from server.api.chat_completions import tool_types as tools
from server.api.chat_completions import types as wire
from server.core.errors import bad_request
from server.core.request import ApprovalDecision


def to_approval_decisions(body: wire.ChatRequest) -> tuple[ApprovalDecision, ...]:
    """Each approval request of the last assistant message, with its decision. Raises ApiError where one has no decision, or two."""
    requests, decisions = _approval_requests(body), _decisions(body.mcp_approvals or ())
    if unknown := sorted(decisions.keys() - requests.keys()):
        raise bad_request("mcp_approvals", f"mcp_approvals: the last assistant message has no request {unknown[0]!r}")
    if missing := [id for id in requests if id not in decisions]:
        raise bad_request(
            "mcp_approvals", f"mcp_approvals: there is no decision about {missing[0]!r}, which the last assistant message asks for"
        )
    return tuple(
        ApprovalDecision(
            approval_id=request.id,
            server_label=request.server_label,
            name=request.name,
            arguments=request.arguments,
            approved=decisions[request.id][1].approve,
            field=decisions[request.id][0],
            reason=decisions[request.id][1].reason,
            request_field=request_field,
        )
        for request_field, request in requests.values()
    )


def _approval_requests(body: wire.ChatRequest) -> dict[str, tuple[str, tools.McpApprovalRequest]]:
    """Those of the last assistant message, behind which only tool messages may stand: id -> (field, request). Raises ApiError for an
    id that is there twice: one decision must not approve two calls."""
    messages = reversed(list(enumerate(body.messages)))
    last = next(((i, message) for i, message in messages if not isinstance(message, message_types.ToolMessage)), None)
    requests = dict[str, tuple[str, tools.McpApprovalRequest]]()
    if last is None or not isinstance(last[1], message_types.AssistantMessage):
        return requests
    for i, request in enumerate(last[1].mcp_approval_requests or ()):
        field = f"messages.{last[0]}.mcp_approval_requests.{i}"
        if request.id in requests:
            raise bad_request(f"{field}.id", f"{field}.id: there is a request {request.id!r} already")
        requests[request.id] = (field, request)
    return requests


def _decisions(approvals: Sequence[tools.McpApproval]) -> dict[str, tuple[str, tools.McpApproval]]:
    """Id of the approval request -> (field, decision). Raises ApiError for two decisions about one request."""
    decisions = dict[str, tuple[str, tools.McpApproval]]()
    for i, approval in enumerate(approvals):
        id, field = approval.approval_request_id, f"mcp_approvals.{i}.approval_request_id"
        if id in decisions:
            raise bad_request(field, f"{field}: {id!r} is decided twice")
        decisions[id] = (field, approval)
    return decisions
