"""The routes of responses."""

import json
from functools import partial

from starlette.types import Send

from server.api.responses import foreground
from server.api.responses.count import input_tokens
from server.api.responses.run import begin
from server.api.responses.stored import endpoints as stored
from server.api.responses.stored.background import Background
from server.api.responses.types import request as wire
from server.api.responses.types.output import ItemList
from server.api.responses.types.response import InputTokens, Response, ResponseDeleted
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, body_stream_endpoint, query_endpoint, query_stream_endpoint
from server.http.lists import NoQuery
from server.http.sse import send_events, send_json
from server.runtime.state import ServerState

ALL = "/v1/responses"
ONE = f"{ALL}/{{response_id}}"


def endpoints(state: ServerState) -> list[Endpoint]:
    background = Background(state.count_request, state.metrics)

    async def create(call: RequestContext, body: wire.ResponseRequest, send: Send) -> None:
        work = await begin(call, body)
        if not body.background:
            await foreground.answer(work, send, state.metrics)
            return
        queued = await background.start(work)
        if body.stream:
            await send_events(send, background.follow(call.archive, call.owner, work.draft.id, -1, work.include))
        else:
            await send_json(send, 200, json.dumps(queued).encode())

    one, cancel = partial(stored.one, background), partial(stored.cancel, background)
    delete, items = partial(stored.delete, background), partial(stored.input_items, background)
    return [
        body_stream_endpoint(
            state, create, ALL, "A response to input, with tools and memory", wire.ResponseRequest, Response, streams=True
        ),
        body_endpoint(
            state, input_tokens, f"{ALL}/input_tokens", "How many tokens the input has", wire.InputTokensRequest, InputTokens
        ),  # before an id of that name
        query_stream_endpoint(state, "GET", one, ONE, "A stored response", wire.ResponseQuery, Response, streams=True),
        query_endpoint(state, "DELETE", delete, ONE, "Delete a stored response", NoQuery, ResponseDeleted),
        query_stream_endpoint(state, "POST", cancel, f"{ONE}/cancel", "Cancel a response in the background", NoQuery, Response),
        query_stream_endpoint(state, "GET", items, f"{ONE}/input_items", "What a response was asked with", wire.ItemsQuery, ItemList),
    ]
