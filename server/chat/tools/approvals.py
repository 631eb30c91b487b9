"""An approval is the answer to what this server has asked, and lets that call run once. Both is written down: what was asked before
the client is told, and that it has been answered before anything runs. So neither another call runs under the id of one that waits,
nor the same one twice, however often, where and to which process a request is sent."""

import hashlib
import json
from collections.abc import Sequence

from server.archive.api import ApprovalRequestRecord, Archive
from server.core.errors import bad_request
from server.core.events import ApprovalRequested
from server.core.request import ApprovalDecision
from server.core.threads import in_thread
from server.runtime.runtime import Runtime


async def record_request(runtime: Runtime, request_id: str, event: ApprovalRequested, owner: str) -> None:
    """Where nothing is kept no answer will count. Raises ApiError."""
    if runtime.archive is not None:
        await in_thread(_remember, runtime.archive, request_id, event, owner)


def _remember(archive: Archive, request_id: str, event: ApprovalRequested, owner: str) -> None:
    archive.put_approval_request(
        owner,
        ApprovalRequestRecord(
            request_id=request_id, server_label=event.server_label, tool_name=event.name, arguments_digest=arguments_digest(event.arguments)
        ),
    )


async def consume_decisions(runtime: Runtime, pending: Sequence[ApprovalDecision], owner: str) -> None:
    """They are used up, whatever becomes of them; where one cannot be, none of the others is. Raises ApiError."""
    if not pending:
        return
    if runtime.archive is None:
        raise bad_request(pending[0].field, f"{pending[0].field}: this server has no database, and does not know what it has asked")
    ids = [one.approval_id for one in pending]
    known = await in_thread(runtime.archive.approval_requests, owner, ids)
    for one in pending:
        await _expect_same(known.get(one.approval_id), one)
    used = await in_thread(runtime.archive.record_decisions, owner, ids)
    for one in pending:
        if one.approval_id in used:  # no 409: clients would try again
            told = f"{one.field}: {one.approval_id!r} has been answered already; ask anew, and answer the new request"
            raise bad_request(one.field, told, "approval_used")


async def _expect_same(asked: ApprovalRequestRecord | None, one: ApprovalDecision) -> None:
    if asked is None:
        told = f"{one.field}: this server has not asked for {one.approval_id!r}; ask anew, and answer the new request"
        raise bad_request(one.field, told, "approval_unknown")
    for name, same in (
        ("server_label", asked.server_label == one.server_label),
        ("name", asked.tool_name == one.name),
        ("arguments", asked.arguments_digest == await in_thread(arguments_digest, one.arguments)),
    ):
        if not same:
            place = f"{one.request_field}.{name}" if one.request_field else one.field
            told = f"{place}: the {name} of {one.approval_id!r} is another one; send the request as this server told it"
            raise bad_request(place, told, "approval_changed")


def arguments_digest(arguments: str) -> str:
    """Hex SHA-256 of the JSON, however it is spelled; of the text, where that is too deep to be read."""
    try:
        text = json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        text = arguments
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
