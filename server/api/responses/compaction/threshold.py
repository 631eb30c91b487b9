"""context_management of a request: a conversation that has become too long is compacted before it is answered."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from engine.api import Usage
from server.api.responses.compaction.seal import Summary, seal
from server.api.responses.compaction.summarize import summarize
from server.api.responses.history import read_history
from server.api.responses.resolved_input import ResolvedInput
from server.api.responses.types.request import ResponseRequest
from server.core.messages import Assistant, ToolResult, User
from server.core.request import RequestWarning
from server.core.timing import TimingObserver
from server.runtime.runtime import Runtime

KIND = "compaction"
DEFAULT_SHARE = 0.75  # of the context, where a request names no threshold


@dataclass(frozen=True, slots=True)
class Compacted:
    """`resolved`: with the compaction item."""

    resolved: ResolvedInput
    sealed: str
    usage: Usage


def compact_threshold(runtime: Runtime, body: ResponseRequest) -> int | None:
    """Tokens of a prompt from which on it is compacted. None: it is not."""
    asked = [entry.compact_threshold for entry in body.context_management or () if entry.type == KIND]
    return min((int(runtime.engine.info.context * DEFAULT_SHARE) if one is None else one for one in asked), default=None)


def context_warnings(body: ResponseRequest) -> Iterator[RequestWarning]:
    """Of other ways to manage the context."""
    for i, entry in enumerate(body.context_management or ()):
        if entry.type != KIND:
            field = f"context_management.{i}"
            yield RequestWarning(param=field, message=f"{field} has no effect: the context is managed by {KIND} alone")


async def compact_now(runtime: Runtime, resolved: ResolvedInput, observer: TimingObserver) -> Compacted | None:
    """None: there is nothing that could be shortened. Raises ApiError."""
    history = read_history(runtime, resolved)
    if not any(isinstance(message, Assistant | ToolResult) for message in history.messages):
        return None
    answered = not isinstance(history.messages[-1], User)
    earlier = history.messages if answered else history.messages[:-1]
    done = await summarize(runtime, earlier, None, observer)
    sealed = seal(runtime.sealing_key, runtime.owner, Summary(done.text, answered=answered, untrusted=history.untrusted))
    item = {"id": "", "type": KIND, "encrypted_content": sealed}
    return Compacted(replace(resolved, compaction=item), sealed, done.usage)
