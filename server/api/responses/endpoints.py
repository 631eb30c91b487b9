"""The endpoints of /v1/responses."""

import json
from functools import partial

from starlette.types import Send

from server.api.responses.compaction.endpoint import compact
from server.api.responses.ids import new_id_generator
from server.api.responses.request import to_generation_request
from server.api.responses.resolved_input import resolve_input
from server.api.responses.run import prepare_run, send_response
from server.api.responses.stored import endpoints as stored
from server.api.responses.stored.background import BackgroundRunner
from server.api.responses.types import request as wire
from server.api.responses.types.compaction import CompactedResponse, CompactRequest
from server.api.responses.types.output_items import ItemList
from server.api.responses.types.response import InputTokens, Response, ResponseDeleted
from server.chat.loop import prepare
from server.chat.tools.listing import list_tools
from server.chat.tools.toolset import Toolset
from server.chat.turn import render_prompt
from server.core.request import Caller
from server.core.threads import in_thread_if_large_body
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, body_stream_endpoint, query_endpoint, query_stream_endpoint
from server.http.lists import NoQuery
from server.http.sse import send_events, send_json
from server.runtime.serving import Serving

ALL = "/v1/responses"
ONE = f"{ALL}/{{response_id}}"


def endpoints(state: Serving) -> list[Endpoint]:
    background = BackgroundRunner(state.count_request, state.metrics, state.name)

    async def create(context: RequestContext, body: wire.ResponseRequest, send: Send) -> None:
        run = await prepare_run(context, body, state.metrics)
        if not body.background:
            await send_response(run, send, state.metrics)
            return
        queued = await background.start(run)
        if body.stream:
            events = background.stream_events(context.archive, context.owner, run.builder.id, -1, run.include)
            await send_events(send, events, run.headers)
        else:
            await send_json(send, 200, json.dumps(queued).encode(), run.headers)

    async def compact_input(context: RequestContext, body: CompactRequest) -> CompactedResponse:
        return await compact(context, body, state.metrics)

    retrieve, cancel = partial(stored.retrieve, background), partial(stored.cancel, background)
    delete, items = partial(stored.delete, background), partial(stored.list_input_items, background)
    return [
        body_stream_endpoint(
            state, create, ALL, "A response to input, with tools and memory", wire.ResponseRequest, Response, streams="text/event-stream"
        ),
        body_endpoint(
            state, count_input_tokens, f"{ALL}/input_tokens", "How many tokens the input has", wire.InputTokensRequest, InputTokens
        ),
        body_endpoint(
            state, compact_input, f"{ALL}/compact", "A conversation in fewer tokens", CompactRequest, CompactedResponse
        ),  # these two before ONE, which would take their names for ids
        query_stream_endpoint(state, "GET", retrieve, ONE, "A stored response", wire.ResponseQuery, Response, streams="text/event-stream"),
        query_endpoint(state, "DELETE", delete, ONE, "Delete a stored response", NoQuery, ResponseDeleted),
        query_stream_endpoint(state, "POST", cancel, f"{ONE}/cancel", "Cancel a response in the background", NoQuery, Response),
        query_stream_endpoint(state, "GET", items, f"{ONE}/input_items", "What a response was asked with", wire.ItemsQuery, ItemList),
    ]


async def count_input_tokens(context: RequestContext, body: wire.InputTokensRequest) -> InputTokens:
    """Of the first turn's prompt, including the tools of MCP servers, but no passages of documents. Raises ApiError."""
    runtime = context.runtime
    resolved = await resolve_input(runtime, body, context.owner, new_id_generator())
    request = await in_thread_if_large_body(to_generation_request, runtime, body, resolved)
    plan = await prepare(runtime, request, Caller(owner=context.owner))
    if not request.mcp_servers or runtime.tool_host is None:
        return InputTokens(input_tokens=plan.first_turn.prompt.length)
    toolset = Toolset(client_tools=request.tools)
    for server in request.mcp_servers:
        listing = await list_tools(runtime.tool_host, server)  # no tools of a server that is down: a response would go without it, too
        toolset = toolset.with_server(server, listing.tools)
    prompt = await render_prompt(runtime, request, plan.messages, toolset.offer(request.tool_choice))
    return InputTokens(input_tokens=prompt.length)
