"""What happens while a wish is fulfilled, as content blocks: each begins, grows and ends; no two are open at once."""

from collections.abc import Iterator
from typing import Any

from server.api.anthropic.response_types import StopReason
from server.core.events import (
    AnswerFinished,
    ApprovalRequested,
    CitationsAdded,
    Event,
    OutputDelta,
    SearchFinished,
    ToolCallDelta,
    ToolCallFinished,
)

Json = dict[str, Any]
UNASKED = "This call was not made: it needs an approval, which this API has no way to ask for. The operator can allow it."
REASONS: dict[str, StopReason] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "approval": "end_turn"}


class Blocks:
    """Makes stream events of loop events. After the last, `stop_reason`, `stop_sequence` and `ended` are set."""

    def __init__(self) -> None:
        self.stop_reason: StopReason | None = None
        self.stop_sequence: str | None = None
        self.ended: AnswerFinished | None = None
        self._index = -1
        self._open: str | None = None  # kind of the block that is, with the call's id behind it if it is one
        self._hits: dict[int, int] = {}  # by chunk id: the place among what was found

    def events(self, event: Event) -> Iterator[Json]:
        match event:
            case OutputDelta():
                yield from self._piece(event)
            case SearchFinished(hits=hits):
                self._hits = {hit.chunk.id: i for i, hit in enumerate(hits)}
            case CitationsAdded():
                yield from self._cited(event)
            case ToolCallFinished(call=call, outcome=outcome):
                yield from self._result(call, outcome.text, failed=outcome.fault is not None)
            case ApprovalRequested(call=call):
                yield from self._result(call, UNASKED, failed=True)
            case AnswerFinished(reason=reason):
                yield from self._close()
                stopped = self.stop_sequence is not None and reason == "stop"
                self.ended, self.stop_reason = event, "stop_sequence" if stopped else REASONS[reason]
            case _:
                pass

    def _piece(self, piece: OutputDelta) -> Iterator[Json]:
        """What still belongs to the call that is being written comes before what was said behind it."""
        going = [call for call in piece.tool_calls if call.id == self._open]
        for call in going:
            yield from self._call(call)
        if piece.reasoning:
            yield from self._grow("thinking", {"type": "thinking_delta", "thinking": piece.reasoning})
        if piece.text:
            yield from self._grow("text", {"type": "text_delta", "text": piece.text})
        for call in piece.tool_calls[len(going) :]:
            yield from self._call(call)
        if piece.finish:
            self.stop_sequence = piece.stop_string

    def _grow(self, kind: str, delta: Json) -> Iterator[Json]:
        if self._open != kind:
            empty = {"thinking": "", "signature": ""} if kind == "thinking" else {"text": ""}
            yield from self._begin(kind, {"type": kind, **empty})
        yield self._delta(delta)

    def _call(self, call: ToolCallDelta) -> Iterator[Json]:
        if call.begun:
            whose = {"type": "tool_use"} if call.server_label is None else {"type": "mcp_tool_use", "server_name": call.server_label}
            yield from self._begin(call.id, {**whose, "id": call.id, "name": call.tool or call.name, "input": {}})
        if call.arguments and self._open == call.id:
            yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})
        if call.done and self._open == call.id:
            yield from self._close()

    def _cited(self, event: CitationsAdded) -> Iterator[Json]:
        """They belong to the text before them."""
        for citation in event.citations if self._open == "text" else ():
            told = {
                "type": "search_result_location",
                "cited_text": citation.quote,
                "source": citation.chunk.file_id,
                "title": citation.chunk.filename,
                "search_result_index": self._hits.get(citation.chunk.id, 0),
                "start_block_index": 0,
                "end_block_index": 1,
            }
            yield self._delta({"type": "citations_delta", "citation": told})

    def _result(self, call: str, text: str, *, failed: bool) -> Iterator[Json]:
        content = [{"type": "text", "text": text, "citations": None}]
        yield from self._begin("result", {"type": "mcp_tool_result", "tool_use_id": call, "is_error": failed, "content": content})
        yield from self._close()

    def _begin(self, kind: str, block: Json) -> Iterator[Json]:
        yield from self._close()
        self._index, self._open = self._index + 1, kind
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _close(self) -> Iterator[Json]:
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._index}
