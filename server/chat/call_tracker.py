"""The tool calls of one turn: each gets an id and an owner, the client or an MCP server."""

from collections.abc import Mapping
from uuid import uuid4

from server.chat.tools.toolset import ToolOwner
from server.core.events import ToolCallDelta
from server.core.messages import ToolCall
from server.text.tool_calls.api import CallChunk, CallParser, ParsedOutput


class CallTracker:
    """Turns parsed calls into deltas. Calls of unknown tools are hidden from the client, but are among `completed`."""

    def __init__(self, parser: CallParser, owners: Mapping[str, ToolOwner], limit: int | None = None, *, forced: bool = False) -> None:
        """`owners`: by the name that the model uses. `limit`: of calls; None: unlimited. `forced`: the grammar allows only calls."""
        self._parser, self._owners, self._limit, self._forced = parser, owners, limit, forced
        self._calls: dict[int, ToolCall] = {}
        self.completed: list[ToolCall] = []  # in order; if the turn was cut off, the last may have incomplete arguments

    @property
    def any_begun(self) -> bool:
        return bool(self._calls)

    @property
    def limit_reached(self) -> bool:
        return self._limit is not None and len(self.completed) >= self._limit

    def push(self, text: str) -> tuple[str, list[ToolCallDelta]]:
        return self._to_deltas(self._parser.push(text))

    def push_last(self, text: str, *, cut: bool) -> tuple[str, list[ToolCallDelta]]:
        """`push` of the last text. `cut`: the tokens ran out; an unfinished call then does not count as text."""
        answer, deltas = self.push(text)
        rest, more = self._to_deltas(self._parser.flush(truncated=cut))
        if cut and (self._forced or self.any_begun):
            answer, rest = "" if self._forced else answer, ""  # only calls may follow a call
        return answer + rest, [*deltas, *more]

    def _to_deltas(self, parsed: ParsedOutput) -> tuple[str, list[ToolCallDelta]]:
        deltas = [self._delta(chunk) for chunk in parsed.calls]
        return parsed.text, [delta for delta in deltas if delta is not None]

    def _delta(self, chunk: CallChunk) -> ToolCallDelta | None:
        begun = chunk.index not in self._calls
        before = self._calls.get(chunk.index) or ToolCall(id=f"call_{uuid4().hex[:24]}", name=chunk.name or "", arguments="")
        call = ToolCall(id=before.id, name=before.name, arguments=before.arguments + chunk.arguments)
        self._calls[chunk.index] = call
        if chunk.done:
            self.completed.append(call)
        if (owner := self._owners.get(call.name)) is None:
            return None
        return ToolCallDelta(
            id=call.id,
            name=call.name,
            server_label=owner.server_label,
            tool=owner.tool,
            arguments=chunk.arguments,
            begun=begun,
            done=chunk.done,
        )
