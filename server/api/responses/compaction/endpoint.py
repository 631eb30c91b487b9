"""POST /v1/responses/compact: a conversation becomes what its users have said, and one item that stands for the rest."""

import time

from server.api.responses.compaction.seal import Summary, seal
from server.api.responses.compaction.summarize import summarize
from server.api.responses.history import read_history
from server.api.responses.ids import new_id_generator
from server.api.responses.resolved_input import ResolvedInput, resolve_input
from server.api.responses.response import usage_object
from server.api.responses.types.compaction import CompactedResponse, CompactRequest
from server.core.messages import Json
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.warnings import hint_warnings, to_warning_objects

KEPT_ROLES = frozenset({"user", "system", "developer"})


async def compact(context: RequestContext, body: CompactRequest, observer: TimingObserver) -> CompactedResponse:
    """Nothing is stored. Raises ApiError."""
    runtime, ids = context.runtime, new_id_generator()
    runtime.expect_model(body.model)
    resolved = await resolve_input(runtime, body, context.owner, ids)
    history = read_history(runtime, resolved)
    done = await summarize(runtime, history.messages, body.instructions, observer)
    sealed = seal(runtime.sealing_key, runtime.owner, Summary(done.text, answered=True, untrusted=history.untrusted))
    item = {"id": ids.new_item_id("compaction"), "type": "compaction", "encrypted_content": sealed}
    answer = {
        "id": ids.response_id,
        "created_at": int(time.time()),
        "output": [*_kept(resolved), item],
        "usage": usage_object(done.usage, 0),
        "warnings": to_warning_objects(tuple(hint_warnings(body))),
    }
    return CompactedResponse.model_validate(answer)


def _kept(resolved: ResolvedInput) -> list[Json]:
    items = [*resolved.earlier_items, *resolved.new_items]
    return [item for item in items if item["type"] == "message" and item["role"] in KEPT_ROLES]
