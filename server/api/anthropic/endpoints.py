"""POST /v1/messages and /v1/messages/count_tokens, for clients of Anthropic's API."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from uuid import uuid4

from starlette.types import Send

from engine.api import Usage
from server.api.anthropic import request_types as wire
from server.api.anthropic import response_types as out
from server.api.anthropic.events import ContentCollector, EventEmitter
from server.api.anthropic.request import to_generation_request, to_prompt_request
from server.chat.loop import GenerationPlan, prepare
from server.core.errors import ApiError
from server.core.events import AnswerFinished, Event, OutputDelta
from server.core.messages import Json
from server.core.request import Caller
from server.core.threads import in_thread_if_large_body
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.error_format import ANTHROPIC_ROOT, to_anthropic_error
from server.http.handlers import body_stream_endpoint
from server.http.sse import send_events, send_json
from server.http.warnings import to_warning_objects, warning_headers
from server.runtime.state import ServerState


def endpoints(state: ServerState) -> list[Endpoint]:
    async def create(context: RequestContext, body: wire.MessagesRequest, send: Send) -> None:
        await send_message(context, body, send, state.metrics)

    root, query = ANTHROPIC_ROOT, wire.MessagesQuery
    message = "The assistant's answer, as Anthropic's API has it"
    tokens = "How many tokens the model would read"
    found = [
        body_stream_endpoint(state, create, root, message, wire.MessagesRequest, out.Message, streams="text/event-stream", query=query),
        body_stream_endpoint(state, count_tokens, f"{root}/count_tokens", tokens, wire.CountRequest, out.TokenCount, query=query),
    ]
    return [replace(endpoint, error=out.Error) for endpoint in found]


async def send_message(context: RequestContext, body: wire.MessagesRequest, send: Send, observer: TimingObserver) -> None:
    request = await in_thread_if_large_body(to_generation_request, context.runtime, body)
    plan = await prepare(context.runtime, request, Caller(owner=context.owner))
    headers = warning_headers(plan.request.warnings)
    if body.stream:
        await send_events(send, stream_message(plan, observer, context.request_id), headers)
    else:
        await send_json(send, 200, (await whole_message(plan, observer)).model_dump_json().encode(), headers)


async def count_tokens(context: RequestContext, body: wire.CountRequest, send: Send) -> None:
    """Counts neither passages of documents nor tools of MCP servers: these are known only after a search or a listing."""
    plan = await prepare(context.runtime, to_prompt_request(context.runtime, body), Caller(owner=context.owner))
    count = out.TokenCount(input_tokens=plan.first_turn.prompt.length)
    await send_json(send, 200, count.model_dump_json().encode())


async def whole_message(plan: GenerationPlan, observer: TimingObserver) -> out.Message:
    emitter, content = EventEmitter(), ContentCollector()
    async with aclosing(plan.run(observer)) as core_events:
        async for _, core_event in core_events:
            for event in emitter.events(core_event):
                content.add(event)
    usage = _final_usage(emitter)
    return out.Message.model_validate({**_empty_message(plan), "content": content.blocks, **_stop_fields(plan, emitter), "usage": usage})


async def stream_message(plan: GenerationPlan, observer: TimingObserver, request_id: str) -> AsyncGenerator[bytes]:
    """Server-sent events. Starts with the model's first output, when the input tokens are known. An error before that is raised; a
    later one becomes an `error` event."""
    async with aclosing(plan.run(observer)) as core_events:
        first, usage = await _until_first_usage(core_events)
        message = {**_empty_message(plan), "usage": _usage(usage)}
        yield _to_sse({"type": "message_start", "message": message}) + _to_sse({"type": "ping"})
        emitter = EventEmitter()
        try:
            for core_event in first:
                for event in emitter.events(core_event):
                    yield _to_sse(event)
            async for _, core_event in core_events:
                for event in emitter.events(core_event):
                    yield _to_sse(event)
        except ApiError as error:
            yield _sse_frame("error", to_anthropic_error(error, request_id).decode())
            return
    last = {"type": "message_delta", "delta": _stop_fields(plan, emitter), "usage": _final_usage(emitter)}
    yield _to_sse(last) + _to_sse({"type": "message_stop"})


async def _until_first_usage(core_events: AsyncGenerator[tuple[int, Event]]) -> tuple[list[Event], Usage]:
    """The events up to the model's first output, and the usage that this one brings."""
    events = list[Event]()
    async for _, event in core_events:
        events.append(event)
        if isinstance(event, OutputDelta | AnswerFinished) and event.usage is not None:
            return events, event.usage
    raise AssertionError("the events of an answer end with AnswerFinished")


def _empty_message(plan: GenerationPlan) -> Json:
    """The Message before it has content."""
    known = {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": plan.runtime.names[0]}
    warnings = to_warning_objects(plan.request.warnings)
    extensions = {} if warnings is None else {"warnings": [warning.model_dump() for warning in warnings]}
    return {**known, "content": [], "stop_reason": None, "stop_sequence": None, **extensions}


def _stop_fields(plan: GenerationPlan, emitter: EventEmitter) -> Json:
    assert emitter.finished is not None  # the last event sets it
    full, limit = emitter.finished.context_full, plan.request.max_tokens
    below_limit = limit is None or emitter.finished.usage.completion < limit
    reason = "model_context_window_exceeded" if full and below_limit else emitter.stop_reason
    return {"stop_reason": reason, "stop_sequence": emitter.stop_sequence}


def _final_usage(emitter: EventEmitter) -> Json:
    assert emitter.finished is not None  # the last event sets it
    return _usage(emitter.finished.usage, emitter.finished.reasoning_tokens)


def _usage(usage: Usage, thoughts: int = 0) -> Json:
    wire_usage = out.Usage(
        input_tokens=usage.prompt - usage.cached,
        output_tokens=usage.completion,
        cache_read_input_tokens=usage.cached,
        output_tokens_details=out.OutputTokensDetails(thinking_tokens=thoughts),
    )
    return wire_usage.model_dump()


def _to_sse(event: Json) -> bytes:
    return _sse_frame(event["type"], json.dumps(event))


def _sse_frame(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()
