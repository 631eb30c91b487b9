"""Answers of Ollama's API: one JSON object a line, the last of which has the counts; or that one alone, with the whole text."""

import json
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from server.api.common.logprobs import chat_logprobs
from server.core.events import AnswerFinished, Event, LoggedToken, OutputDelta, ToolCallDelta
from server.core.messages import Json
from server.core.request import RequestWarning
from server.http.warnings import to_warning_objects
from server.text.tokenizer import ChatTokenizer


def timestamp(seconds: float) -> str:
    """RFC 3339, of Unix time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


class Shape(Protocol):
    """Where a line has the text, the thoughts and the calls."""

    def __call__(self, text: str, thinking: str, calls: list[Json]) -> Json: ...


def chat_shape(text: str, thinking: str, calls: list[Json]) -> Json:
    message: Json = {"role": "assistant", "content": text}
    if thinking:
        message["thinking"] = thinking
    if calls:
        message["tool_calls"] = calls
    return {"message": message}


def generate_shape(text: str, thinking: str, calls: list[Json]) -> Json:
    return {"response": text, **({"thinking": thinking} if thinking else {})}


@dataclass
class AnswerLines:
    """Turns events of the chat loop into lines."""

    model: str
    shape: Shape
    tokenizer: ChatTokenizer
    warnings: tuple[RequestWarning, ...] = ()
    _started: float = field(default_factory=time.perf_counter)
    _first: float | None = None
    _open_calls: dict[str, ToolCallDelta] = field(default_factory=dict[str, ToolCallDelta])
    _calls: int = 0

    async def lines(self, events: AsyncGenerator[tuple[int, Event]]) -> AsyncGenerator[Json]:
        async for _, event in events:
            match event:
                case OutputDelta():
                    self._first = self._first or time.perf_counter()
                    calls = list(self._finished_calls(event))
                    if event.text or event.reasoning or calls or event.logprobs:
                        yield self._line(event.text, event.reasoning, calls) | self._logprobs(event.logprobs)
                case AnswerFinished():
                    yield self.last("length" if event.reason == "length" else "stop", event)
                case _:
                    pass

    async def whole(self, events: AsyncGenerator[tuple[int, Event]]) -> Json:
        """The last line, with the text of all."""
        text, thinking, calls, logged, last = "", "", list[Json](), list[Json](), dict[str, object]()
        async for line in self.lines(events):
            message: Json = line.get("message", line)
            text += message.get("content", message.get("response", ""))
            thinking += message.get("thinking", "")
            calls += message.get("tool_calls", [])
            logged += line.get("logprobs", [])
            last = line
        return {**last, **self.shape(text, thinking, calls), **({"logprobs": logged} if logged else {})}

    def last(self, reason: Literal["stop", "length", "load"], finished: AnswerFinished | None = None) -> Json:
        """`finished`: None where nothing was generated."""
        line = {**self._line("", "", []), "done": True, "done_reason": reason}
        warnings = to_warning_objects(self.warnings)
        if warnings is not None:
            line["warnings"] = [warning.model_dump() for warning in warnings]
        if finished is not None:
            now = time.perf_counter()
            first = self._first or now
            line |= {
                "total_duration": _nanoseconds(now - self._started),
                "load_duration": 0,
                "prompt_eval_count": finished.usage.prompt,
                "prompt_eval_duration": _nanoseconds(first - self._started),
                "eval_count": finished.usage.completion,
                "eval_duration": _nanoseconds(now - first),
            }
            line |= {"thinking_count": finished.reasoning_tokens} if finished.reasoning_tokens else {}
        return line

    def _line(self, text: str, thinking: str, calls: list[Json]) -> Json:
        return {"model": self.model, "created_at": timestamp(time.time()), **self.shape(text, thinking, calls), "done": False}

    def _logprobs(self, logged: Sequence[LoggedToken]) -> Json:
        found = [entry.model_dump() for entry in chat_logprobs(self.tokenizer, logged)]
        return {"logprobs": found} if found else {}

    def _finished_calls(self, output: OutputDelta) -> Iterator[Json]:
        """Calls of the client's functions are sent whole."""
        for delta in output.tool_calls:
            if delta.server_label is not None:
                continue
            arguments = (self._open_calls[delta.id].arguments if delta.id in self._open_calls else "") + delta.arguments
            self._open_calls[delta.id] = ToolCallDelta(id=delta.id, name=delta.name, arguments=arguments)
            if delta.done:
                function = {"index": self._calls, "name": delta.name, "arguments": _parsed(arguments)}
                self._calls += 1
                yield {"id": delta.id, "function": function}


def to_line(line: Json) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _parsed(arguments: str) -> Json:
    """{} for a call that was cut off, which done_reason tells."""
    try:
        return json.loads(arguments)
    except ValueError:
        return {}


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)
