"""Approvals: each lets one recorded call run once. The approval request is stored before the client sees it, and the decision before
anything runs. So no other call can run under its id, and none twice, however often and to whichever process a request is sent."""

import hashlib
from collections.abc import Sequence

from server.archive.api import ApprovalRequestRecord, Archive
from server.chat.tools.arguments import canonical_arguments
from server.core.errors import bad_request
from server.core.events import ApprovalRequested
from server.core.request import ApprovalDecision
from server.core.threads import in_thread
from server.runtime.runtime import Runtime


async def record_request(runtime: Runtime, request_id: str, event: ApprovalRequested, owner: str) -> None:
    """Stores the approval request; without an archive no decision will be accepted. Raises ApiError."""
    if runtime.archive is not None:
        await in_thread(_put_request, runtime.archive, request_id, event, owner)


def _put_request(archive: Archive, request_id: str, event: ApprovalRequested, owner: str) -> None:
    archive.put_approval_request(
        owner,
        ApprovalRequestRecord(
            approval_id=request_id,
            server_label=event.server_label,
            tool_name=event.name,
            arguments_digest=arguments_digest(event.arguments),
        ),
    )


async def consume_decisions(runtime: Runtime, decisions: Sequence[ApprovalDecision], owner: str) -> None:
    """Marks all decisions as used, or none of them. Raises ApiError for one that is unknown, used, or about another call."""
    if not decisions:
        return
    if runtime.archive is None:
        raise bad_request(decisions[0].field, f"{decisions[0].field}: this server has no database, and does not know what it has asked")
    ids = [decision.approval_id for decision in decisions]
    known = await in_thread(runtime.archive.approval_requests, owner, ids)
    for decision in decisions:
        await _expect_same(known.get(decision.approval_id), decision)
    used = await in_thread(runtime.archive.record_decisions, owner, ids)
    for decision in decisions:
        if decision.approval_id in used:  # no 409: clients would try again
            message = f"{decision.field}: {decision.approval_id!r} has been answered already; ask anew, and answer the new request"
            raise bad_request(decision.field, message, "approval_used")


async def _expect_same(recorded: ApprovalRequestRecord | None, decision: ApprovalDecision) -> None:
    if recorded is None:
        message = f"{decision.field}: this server has not asked for {decision.approval_id!r}; ask anew, and answer the new request"
        raise bad_request(decision.field, message, "approval_unknown")
    for name, same in (
        ("server_label", recorded.server_label == decision.server_label),
        ("name", recorded.tool_name == decision.name),
        ("arguments", recorded.arguments_digest == await in_thread(arguments_digest, decision.arguments)),
    ):
        if not same:
            field = f"{decision.request_field}.{name}" if decision.request_field else decision.field
            message = f"{field}: the {name} of {decision.approval_id!r} is another one; send the request as this server told it"
            raise bad_request(field, message, "approval_changed")


def arguments_digest(arguments: str) -> str:
    """Hex SHA-256 of the JSON in canonical form, or of the text if it cannot be parsed."""
    return hashlib.sha256(canonical_arguments(arguments).encode(errors="surrogatepass")).hexdigest()
