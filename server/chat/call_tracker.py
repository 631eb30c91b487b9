"""The calls of one turn of the model: each gets an id, and is told as somebody's: the client's, or a server's tool."""

from collections.abc import Mapping
from uuid import uuid4

from server.chat.tools.toolset import ToolOwner
from server.core.events import ToolCallDelta
from server.core.messages import ToolCall
from server.text.tool_calls.api import CallChunk, CallParser, ParsedOutput


class CallTracker:
    """Listens to a dialect's reader. A call of a tool that there is not is kept from the client; it is among `made` all the same."""

    def __init__(self, reader: CallParser, whose: Mapping[str, ToolOwner], most: int | None = None, *, forced: bool = False) -> None:
        """`whose`: by the names that the model knows. `most`: more calls than that are not wanted; None: any number. `forced`: the
        grammar allows nothing else."""
        self._reader, self._whose, self._most, self._forced = reader, whose, most, forced
        self._open: dict[int, ToolCall] = {}
        self.completed: list[ToolCall] = []  # in order; of one that the end of the turn has cut off the arguments are no JSON

    @property
    def any_begun(self) -> bool:
        return bool(self._open)

    @property
    def limit_reached(self) -> bool:
        return self._most is not None and len(self.completed) >= self._most

    def push(self, text: str) -> tuple[str, list[ToolCallDelta]]:
        return self._told(self._reader.push(text))

    def push_last(self, text: str, *, cut: bool) -> tuple[str, list[ToolCallDelta]]:
        """`push`, and nothing comes any more. `cut`: there were no more tokens; then what would have become a call is no answer."""
        answer, deltas = self.push(text)
        rest, more = self._told(self._reader.flush(cut=cut))
        if cut and (self._forced or self.any_begun):
            answer, rest = "" if self._forced else answer, ""  # behind a call there is nothing but calls
        return answer + rest, [*deltas, *more]

    def _told(self, heard: ParsedOutput) -> tuple[str, list[ToolCallDelta]]:
        deltas = [self._delta(piece) for piece in heard.calls]
        return heard.text, [delta for delta in deltas if delta is not None]

    def _delta(self, piece: CallChunk) -> ToolCallDelta | None:
        begun = piece.index not in self._open
        before = self._open.get(piece.index) or ToolCall(id=f"call_{uuid4().hex[:24]}", name=piece.name or "", arguments="")
        call = ToolCall(id=before.id, name=before.name, arguments=before.arguments + piece.arguments)
        self._open[piece.index] = call
        if piece.done:
            self.completed.append(call)
        if (whose := self._whose.get(call.name)) is None:
            return None
        return ToolCallDelta(
            id=call.id,
            name=call.name,
            server_label=whose.server_label,
            tool=whose.tool,
            arguments=piece.arguments,
            begun=begun,
            done=piece.done,
        )
