"""The span of the chat loop: turns of the model, searches and calls of tools are its children."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from opentelemetry import context as contexts
from opentelemetry.trace import Span, Tracer, set_span_in_context
from opentelemetry.util.types import AttributeValue

from server.core.events import AnswerFinished, Event, OutputDelta
from server.core.messages import Assistant, Message, System, ToolResult, User
from server.core.request import GenerationRequest
from server.runtime.tracing import names
from server.runtime.tracing.engine import OPERATION_KEY
from server.runtime.tracing.spans import attached, error_type, fail

Json = dict[str, Any]


@dataclass(slots=True)
class _Answers:
    """Of one request, by index. `texts` are kept where they shall be shown."""

    content: bool
    reasons: dict[int, str] = field(default_factory=dict[int, str])
    texts: dict[int, list[str]] = field(default_factory=dict[int, list[str]])

    def note(self, index: int, event: Event) -> None:
        match event:
            case OutputDelta(text=text) if self.content and text:
                self.texts.setdefault(index, []).append(text)
            case AnswerFinished(reason=reason):
                self.reasons[index] = reason
            case _:
                pass

    def describe(self, span: Span) -> None:
        if self.reasons:
            span.set_attribute(names.FINISH_REASONS, [self.reasons[index] for index in sorted(self.reasons)])
        if self.content:
            said = [(self.reasons.get(index, "error"), "".join(parts)) for index, parts in sorted(self.texts.items())]
            messages = [{"role": "assistant", "finish_reason": reason, "parts": [_text(text)]} for reason, text in said]
            span.set_attribute(names.OUTPUT_MESSAGES, json.dumps(messages, ensure_ascii=False))


async def traced_loop(
    tracer: Tracer, request: GenerationRequest, model: str, events: AsyncGenerator[tuple[int, Event]], *, content: bool
) -> AsyncGenerator[tuple[int, Event]]:
    span = tracer.start_span("invoke_agent", attributes=_attributes(request, model, content=content))
    answers = _Answers(content)
    inside = contexts.set_value(OPERATION_KEY, "chat", set_span_in_context(span))
    try:
        async with aclosing(events):
            while True:
                with attached(inside):  # step by step: whoever reads the events has a context of their own
                    item = await anext(events, None)
                if item is None:
                    return
                answers.note(*item)
                yield item
    except Exception as error:
        fail(span, error_type(error))
        raise
    finally:
        answers.describe(span)
        span.end()


def _attributes(request: GenerationRequest, model: str, *, content: bool) -> dict[str, AttributeValue]:
    known: dict[str, AttributeValue] = {
        names.OPERATION: "invoke_agent",
        names.PROVIDER: names.STOA,
        names.REQUEST_MODEL: request.model or model,
        names.RESPONSE_MODEL: model,
    }
    if request.n > 1:
        known[names.CHOICES] = request.n
    if content:
        known[names.INPUT_MESSAGES] = json.dumps(_as_messages(request.messages), ensure_ascii=False)
    return known


def _as_messages(messages: Sequence[Message]) -> list[Json]:
    """In the JSON of OpenTelemetry's conventions for generative AI."""
    return [{"role": role, "parts": parts} for role, parts in map(_as_message, messages)]


def _as_message(message: Message) -> tuple[str, list[Json]]:
    match message:
        case System(text=text):
            return "system", [_text(text)]
        case User(text=text):
            return "user", [_text(text)]
        case ToolResult(call_id=id, text=text):
            return "tool", [{"type": "tool_call_response", "id": id, "response": text}]
        case Assistant(text=text, reasoning=thoughts, tool_calls=calls):
            parts = [{"type": "reasoning", "content": thoughts}] if thoughts else []
            made = [{"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments} for call in calls]
            return "assistant", [*parts, *([_text(text)] if text else []), *made]


def _text(text: str) -> Json:
    return {"type": "text", "content": text}
