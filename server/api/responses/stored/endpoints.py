"""Endpoints of stored responses: retrieve or stream, cancel, delete, list the input."""

import json
from collections.abc import Sequence

from starlette.types import Send

from retrieval.api import NotFound
from server.api.responses.include import filter_item, filter_response
from server.api.responses.resolved_input import UNFINISHED
from server.api.responses.stored.abandoned import fail_abandoned
from server.api.responses.stored.background import BackgroundRunner
from server.api.responses.types import request as wire
from server.api.responses.types.response import ResponseDeleted
from server.archive.api import Archive, StoredResponse
from server.core.errors import bad_request, from_knowledge_error
from server.core.messages import Json
from server.core.threads import in_thread
from server.http.context import ID_PATTERN, RequestContext
from server.http.lists import NoQuery
from server.http.sse import send_events, send_json


async def retrieve(background: BackgroundRunner, context: RequestContext, query: wire.ResponseQuery, send: Send) -> None:
    response, include = await _stored_response(background, context), query.include or []
    if not query.stream:
        if query.starting_after is not None:
            raise bad_request("starting_after", "starting_after needs stream=true")
        await send_json(send, 200, json.dumps(filter_response(response.body, include)).encode())
        return
    if not response.background:
        raise bad_request("stream", "stream: only the events of a response in the background are kept")
    after = -1 if query.starting_after is None else query.starting_after
    await _expect_known_number(context.archive, response, after)
    await send_events(send, background.stream_events(context.archive, context.owner, response.id, after, include))


async def _expect_known_number(archive: Archive, response: StoredResponse, after: int) -> None:
    """Raises ApiError if a finished response has no event with the number `after`. The final event is not stored; its number is one
    above the last stored event's."""
    owner, id = response.owner, response.id
    if after <= 0 or response.status in UNFINISHED or await in_thread(archive.events, owner, id, after - 2):
        return
    last = len(await in_thread(archive.events, owner, id, -1))
    raise bad_request("starting_after", f"starting_after: the last event of {id} is number {last}; there is none behind {after}")


async def delete(background: BackgroundRunner, context: RequestContext, query: NoQuery) -> ResponseDeleted:
    id = _response_id(context)
    await in_thread(context.archive.delete_response, context.owner, id)
    background.stop(id)
    return ResponseDeleted(id=id)


async def cancel(background: BackgroundRunner, context: RequestContext, query: NoQuery, send: Send) -> None:
    """A finished response stays as it is; an unfinished one is stored as cancelled, with the output so far."""
    response = await _stored_response(background, context)
    if not response.background:
        raise bad_request(
            "response_id", "response_id: only a response in the background can be cancelled; drop the connection of any other"
        )
    if response.status in UNFINISHED:
        await background.cancel(response.id)
        response = await in_thread(context.archive.response, context.owner, response.id)
    if response.status in UNFINISHED:  # another process runs it, and notices when it writes the next events
        events = await in_thread(context.archive.events, context.owner, response.id, -1)
        body = {**response.body, "status": "cancelled", "output": finished_items(events)}
        await in_thread(context.archive.finish_response, context.owner, response.id, "cancelled", body)
        response = await in_thread(context.archive.response, context.owner, response.id)
    await send_json(send, 200, json.dumps(filter_response(response.body, ())).encode())


def finished_items(events: Sequence[tuple[int, str]]) -> list[Json]:
    """The output items that are finished according to the stored events (number, JSON text)."""
    parsed: list[Json] = [json.loads(text) for _, text in events]
    return [event["item"] for event in parsed if event["type"] == "response.output_item.done"]


async def list_input_items(background: BackgroundRunner, context: RequestContext, query: wire.ItemsQuery, send: Send) -> None:
    response = await _stored_response(background, context)
    items = response.input if query.order == "asc" else response.input[::-1]
    start = 0 if query.after is None else _index_after(items, query.after)
    page = [filter_item(item, query.include or ()) for item in items[start : start + query.limit]]
    await send_json(send, 200, json.dumps(to_list_object(page, has_more=start + query.limit < len(items))).encode())


def to_list_object(items: Sequence[Json], *, has_more: bool) -> Json:
    first, last = (items[0]["id"], items[-1]["id"]) if items else ("", "")
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": has_more}


def _index_after(items: Sequence[Json], item_id: str) -> int:
    index = next((i for i, item in enumerate(items) if item["id"] == item_id), None)
    if index is None:
        raise bad_request("after", f"after: the input has no item {item_id!r}")
    return index + 1


async def _stored_response(background: BackgroundRunner, context: RequestContext) -> StoredResponse:
    """Raises ApiError 404. First marks responses of dead processes as failed: this may be one of them."""
    id = _response_id(context)
    await fail_abandoned(context.archive, background.worker_id)
    return await in_thread(context.archive.response, context.owner, id)


def _response_id(context: RequestContext) -> str:
    """Raises ApiError 404 for what cannot be an id, and if the server has no archive, as then there is no stored response."""
    id = context.path_params["response_id"]
    if not ID_PATTERN.fullmatch(id) or context.runtime.archive is None:
        raise from_knowledge_error(NotFound("response", id))
    return id
