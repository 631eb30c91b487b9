"""POST /v1/messages and /v1/messages/count_tokens, for clients of Anthropic's API."""

import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any
from uuid import uuid4

from starlette.types import Send

from engine.api import Usage
from server.api.anthropic import request_types as wire
from server.api.anthropic import response_types as out
from server.api.anthropic.content import Content
from server.api.anthropic.events import Blocks
from server.api.anthropic.request import to_count, to_wish
from server.chat.loop import GenerationPlan, prepare
from server.core.errors import ApiError
from server.core.events import AnswerFinished, Event, OutputDelta
from server.core.request import Caller
from server.core.timing import TimingObserver
from server.http import error_body
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import send_events, send_json
from server.runtime.state import ServerState

Json = dict[str, Any]


def endpoints(state: ServerState) -> list[Endpoint]:
    async def talk(call: RequestContext, body: wire.MessagesRequest, send: Send) -> None:
        await answer(call, body, send, state.metrics)

    said, counted = "The assistant's answer, as Anthropic's API has it", "How many tokens the model would read"
    query = wire.MessagesQuery
    found = [
        body_stream_endpoint(state, talk, error_body.ROOT, said, wire.MessagesRequest, out.Message, streams=True, query=query),
        body_stream_endpoint(state, count, f"{error_body.ROOT}/count_tokens", counted, wire.CountRequest, out.TokenCount, query=query),
    ]
    return [replace(endpoint, error=out.Error) for endpoint in found]


async def answer(call: RequestContext, body: wire.MessagesRequest, send: Send, watch: TimingObserver) -> None:
    plan = await prepare(call.runtime, to_wish(call.runtime, body), Caller(owner=call.owner))
    if body.stream:
        await send_events(send, stream(plan, watch, call.request_id))
    else:
        await send_json(send, 200, (await whole(plan, watch)).model_dump_json().encode())


async def count(call: RequestContext, body: wire.CountRequest, send: Send) -> None:
    """Without documents and the tools of MCP servers: what these bring is only known when they are asked."""
    plan = await prepare(call.runtime, to_count(call.runtime, body), Caller(owner=call.owner))
    counted = out.TokenCount(input_tokens=len(plan.first_turn.prompt.tokens))
    await send_json(send, 200, counted.model_dump_json().encode())


async def whole(plan: GenerationPlan, watch: TimingObserver) -> out.Message:
    blocks, content = Blocks(), Content()
    async with aclosing(plan.run(watch)) as happening:
        async for _, event in happening:
            for told in blocks.events(event):
                content.add(told)
    usage = _usage(_used(blocks))
    return out.Message.model_validate({**_message(plan), "content": content.blocks, **_ends(plan, blocks), "usage": usage})


async def stream(plan: GenerationPlan, watch: TimingObserver, request_id: str) -> AsyncGenerator[bytes]:
    """It begins when the model does, with what it has read. What fails before that is raised; later there is an event for it."""
    async with aclosing(plan.run(watch)) as happening:
        before, read = await _opening(happening)
        message = {**_message(plan), "usage": _usage(read)}
        yield _event({"type": "message_start", "message": message}) + _event({"type": "ping"})
        blocks = Blocks()
        try:
            for event in before:
                for told in blocks.events(event):
                    yield _event(told)
            async for event in _told(happening, blocks):
                yield _event(event)
        except ApiError as error:
            yield _framed("error", error_body.told(error, request_id).decode())
            return
    last = {"type": "message_delta", "delta": _ends(plan, blocks), "usage": _usage(_used(blocks))}
    yield _event(last) + _event({"type": "message_stop"})


async def _opening(happening: AsyncGenerator[tuple[int, Event]]) -> tuple[list[Event], Usage]:
    """All up to the model's first words, and what has been used by then."""
    events = list[Event]()
    async for _, event in happening:
        events.append(event)
        if isinstance(event, OutputDelta | AnswerFinished) and event.usage is not None:
            return events, event.usage
    raise AssertionError("an answer ends with Ended")


async def _told(happening: AsyncGenerator[tuple[int, Event]], blocks: Blocks) -> AsyncGenerator[Json]:
    async for _, event in happening:
        for told in blocks.events(event):
            yield told


def _message(plan: GenerationPlan) -> Json:
    """Before it has content."""
    known = {"id": f"msg_{uuid4().hex}", "type": "message", "role": "assistant", "model": plan.runtime.names[0]}
    return {**known, "content": [], "stop_reason": None, "stop_sequence": None}


def _ends(plan: GenerationPlan, blocks: Blocks) -> Json:
    """`max_tokens` is what the client set; short of that it was the context that came to its end."""
    reason, limit = blocks.stop_reason, plan.request.max_tokens
    if reason == "max_tokens" and blocks.ended and limit is not None and blocks.ended.usage.completion < limit:
        reason = "model_context_window_exceeded"
    return {"stop_reason": reason, "stop_sequence": blocks.stop_sequence}


def _used(blocks: Blocks) -> Usage:
    assert blocks.ended is not None  # an answer ends with it
    return blocks.ended.usage


def _usage(usage: Usage) -> Json:
    used = out.Usage(
        input_tokens=usage.prompt - usage.cached,
        output_tokens=usage.completion,
        cache_read_input_tokens=usage.cached,
    )
    return used.model_dump()


def _event(value: Json) -> bytes:
    return _framed(value["type"], json.dumps(value))


def _framed(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()
