"""Core events (server/core/events.py) as Anthropic's stream events, and the content blocks that the stream events add up to."""

import base64
import hashlib
import json
from collections.abc import Iterator

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
from server.core.messages import Json

NOT_APPROVED = "This call was not made: it needs an approval, which this API has no way to ask for. The operator can allow it."
STOP_REASONS: dict[str, StopReason] = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "approval": "end_turn"}


class EventEmitter:
    """Turns core events into the events of content blocks: start, deltas, stop. At most one block is open at a time. After the last
    event `stop_reason`, `stop_sequence` and `finished` are set."""

    def __init__(self) -> None:
        self.stop_reason: StopReason | None = None
        self.stop_sequence: str | None = None
        self.finished: AnswerFinished | None = None
        self._index = -1
        self._open: str | None = None  # the open block: "text", "thinking", "result" or the id of a tool call
        self._thoughts = ""  # of the open block
        self._hit_indexes: dict[int, int] = {}  # chunk id -> index among the search results

    def events(self, event: Event) -> Iterator[Json]:
        match event:
            case OutputDelta():
                yield from self._output(event)
            case SearchFinished(hits=hits):
                self._hit_indexes = {hit.chunk.id: i for i, hit in enumerate(hits)}
            case CitationsAdded():
                yield from self._citations(event)
            case ToolCallFinished(call_id=call_id, outcome=outcome):
                yield from self._tool_result(call_id, outcome.text, failed=outcome.fault is not None)
            case ApprovalRequested(call_id=call_id):
                yield from self._tool_result(call_id, NOT_APPROVED, failed=True)
            case AnswerFinished(reason=reason):
                yield from self._stop_block()
                by_stop_string = self.stop_sequence is not None and reason == "stop"
                self.finished, self.stop_reason = event, "stop_sequence" if by_stop_string else STOP_REASONS[reason]
            case _:
                pass

    def _output(self, output: OutputDelta) -> Iterator[Json]:
        """Deltas of the tool call whose block is open come before reasoning and text, which would close that block."""
        continued = [call for call in output.tool_calls if call.id == self._open]
        for call in continued:
            yield from self._tool_call(call)
        if output.reasoning:
            yield from self._append("thinking", {"type": "thinking_delta", "thinking": output.reasoning})
            self._thoughts += output.reasoning
        if output.text:
            yield from self._append("text", {"type": "text_delta", "text": output.text})
        for call in output.tool_calls[len(continued) :]:
            yield from self._tool_call(call)
        if output.finish:
            self.stop_sequence = output.stop_string

    def _append(self, kind: str, delta: Json) -> Iterator[Json]:
        if self._open != kind:
            empty = {"thinking": "", "signature": ""} if kind == "thinking" else {"text": ""}
            yield from self._start_block(kind, {"type": kind, **empty})
        yield self._delta(delta)

    def _tool_call(self, call: ToolCallDelta) -> Iterator[Json]:
        if call.begun:
            kind = {"type": "tool_use"} if call.server_label is None else {"type": "mcp_tool_use", "server_name": call.server_label}
            yield from self._start_block(call.id, {**kind, "id": call.id, "name": call.tool or call.name, "input": {}})
        if call.arguments and self._open == call.id:
            yield self._delta({"type": "input_json_delta", "partial_json": call.arguments})
        if call.done and self._open == call.id:
            yield from self._stop_block()

    def _citations(self, event: CitationsAdded) -> Iterator[Json]:
        """Deltas of the open text block; without one they are dropped."""
        for citation in event.citations if self._open == "text" else ():
            wire_citation = {
                "type": "search_result_location",
                "cited_text": citation.quote,
                "source": citation.chunk.file_id,
                "title": citation.chunk.filename,
                "search_result_index": self._hit_indexes.get(citation.chunk.id, 0),
                "start_block_index": 0,
                "end_block_index": 1,
            }
            yield self._delta({"type": "citations_delta", "citation": wire_citation})

    def _tool_result(self, call_id: str, text: str, *, failed: bool) -> Iterator[Json]:
        content = [{"type": "text", "text": text}]
        yield from self._start_block("result", {"type": "mcp_tool_result", "tool_use_id": call_id, "is_error": failed, "content": content})
        yield from self._stop_block()

    def _start_block(self, kind: str, block: Json) -> Iterator[Json]:
        yield from self._stop_block()
        self._index, self._open = self._index + 1, kind
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _delta(self, delta: Json) -> Json:
        return {"type": "content_block_delta", "index": self._index, "delta": delta}

    def _stop_block(self) -> Iterator[Json]:
        if self._open == "thinking":
            signature, self._thoughts = _signature(self._thoughts), ""
            yield self._delta({"type": "signature_delta", "signature": signature})
        if self._open is not None:
            self._open = None
            yield {"type": "content_block_stop", "index": self._index}


class ContentCollector:
    """Collects stream events into the content blocks of a message that is sent as a whole."""

    def __init__(self) -> None:
        self.blocks: list[Json] = []
        self._input_json: list[str] = []  # of the open tool call

    def add(self, event: Json) -> None:
        match event["type"]:
            case "content_block_start":
                self.blocks.append(dict(event["content_block"]))
                self._input_json = []
            case "content_block_delta":
                self._add_delta(event["delta"])
            case _:
                if self._input_json:
                    self.blocks[-1]["input"] = _parse_input("".join(self._input_json))

    def _add_delta(self, delta: Json) -> None:
        block = self.blocks[-1]
        match delta["type"]:
            case "text_delta":
                block["text"] += delta["text"]
            case "thinking_delta":
                block["thinking"] += delta["thinking"]
            case "signature_delta":
                block["signature"] = delta["signature"]
            case "citations_delta":
                block.setdefault("citations", []).append(delta["citation"])
            case _:
                self._input_json.append(delta["partial_json"])


def _signature(thoughts: str) -> str:
    """A digest: clients leave out blocks without a signature when they send them back."""
    return base64.b64encode(hashlib.sha256(thoughts.encode(errors="replace")).digest()).decode()


def _parse_input(arguments: str) -> Json:
    """{} for a call that was truncated at the token limit, which stop_reason tells."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}
