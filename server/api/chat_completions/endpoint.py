"""POST /v1/chat/completions."""

from contextlib import aclosing
from uuid import uuid4

from starlette.types import Send

from server.api.chat_completions import types as wire
from server.api.chat_completions.audio import write_down
from server.api.chat_completions.request import PreparedChat, to_generation_request
from server.api.chat_completions.response import new_response_builder
from server.api.chat_completions.stored.endpoints import store_response
from server.api.chat_completions.stream import stream_chunks
from server.api.common.generation import wants_stream_usage
from server.chat import loop
from server.chat.tools.approvals import consume_decisions, record_request
from server.core.errors import bad_request
from server.core.events import ApprovalRequested
from server.core.request import Caller
from server.core.threads import in_thread_if_large_body
from server.core.timing import TimingObserver
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_stream_endpoint
from server.http.sse import send_events, send_json
from server.http.warnings import warning_headers
from server.runtime.runtime import Runtime, expect_writable
from server.runtime.serving import Serving


def endpoints(state: Serving) -> list[Endpoint]:
    async def handler(context: RequestContext, body: wire.ChatRequest, send: Send) -> None:
        chat = await prepare(context.runtime, body, context.owner)
        headers = warning_headers(chat.plan.request.warnings)
        if body.stream:
            await send_events(send, stream_chunks(chat, state.metrics), headers)
        else:
            await send_json(send, 200, (await generate(chat, state.metrics)).model_dump_json().encode(), headers)

    summary = "The assistant's answer to a conversation"
    return [
        body_stream_endpoint(
            state, handler, "/v1/chat/completions", summary, wire.ChatRequest, wire.ChatResponse, streams="text/event-stream"
        )
    ]


async def prepare(runtime: Runtime, body: wire.ChatRequest, owner: str = "") -> PreparedChat:
    """`owner`: whose vector stores may be searched. Raises ApiError for what cannot be honoured."""
    runtime.expect_model(body.model)
    stream_usage = wants_stream_usage(body)
    if body.store and runtime.archive is None:
        raise bad_request("store", "store: this server has no database to keep answers in; leave it out")
    if body.store:
        expect_writable(runtime)
    if body.store and body.request_id is not None:
        raise bad_request("request_id", "request_id: a response that is stored gets an id from the server")
    written = await write_down(runtime, body)
    body = written.body
    request = await in_thread_if_large_body(to_generation_request, runtime, body)
    plan = await loop.prepare(runtime, request, Caller(owner=owner))
    await consume_decisions(runtime, plan.request.approval_decisions, owner)
    id, archive = f"chatcmpl-{body.request_id or uuid4().hex}", runtime.archive if body.store else None
    return PreparedChat(plan, body, id, stream_usage, archive, written.tokens)


async def generate(chat: PreparedChat, observer: TimingObserver) -> wire.ChatResponse:
    """Runs the chat to its end, and stores the response where the request says so."""
    builder = new_response_builder(chat)
    async with aclosing(chat.plan.run(observer)) as events:
        async for index, event in events:
            builder.push(index, event)
            builder.choices[index].push(event)
            if isinstance(event, ApprovalRequested):
                await record_request(chat.plan.runtime, builder.choices[index].approval_requests[-1].id, event, chat.plan.caller.owner)
    response = builder.response()
    await store_response(chat, response)
    return response
