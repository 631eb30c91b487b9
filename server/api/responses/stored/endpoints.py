"""What has been stored of responses: to be read, followed, cancelled, deleted."""

import json
from collections.abc import Sequence

from starlette.types import Send

from retrieval.api import NotFound
from server.api.responses.context import UNFINISHED
from server.api.responses.response import shown, shown_item
from server.api.responses.stored.background import Background
from server.api.responses.types import request as wire
from server.api.responses.types.response import ResponseDeleted
from server.archive.api import Archive, StoredResponse
from server.core.errors import bad_request, from_knowledge
from server.core.messages import Json
from server.core.threads import in_thread
from server.http.context import ID, RequestContext
from server.http.lists import NoQuery
from server.http.sse import send_events, send_json


async def one(background: Background, call: RequestContext, query: wire.ResponseQuery, send: Send) -> None:
    found, include = await _found(background, call), query.include or []
    if not query.stream:
        if query.starting_after is not None:
            raise bad_request("starting_after", "starting_after needs stream=true")
        await send_json(send, 200, json.dumps(shown(found.body, include)).encode())
        return
    if not found.background:
        raise bad_request("stream", "stream: only the events of a response in the background are kept")
    after = -1 if query.starting_after is None else query.starting_after
    await _expect_reached(call.archive, found, after)
    await send_events(send, background.follow(call.archive, call.owner, found.id, after, include))


async def _expect_reached(archive: Archive, found: StoredResponse, after: int) -> None:
    """A finished response has a last event. Its end is told behind those that are kept, and has the next number."""
    if after <= 0 or found.status in UNFINISHED or await in_thread(archive.events, found.owner, found.id, after - 2):
        return
    last = len(await in_thread(archive.events, found.owner, found.id, -1))
    raise bad_request("starting_after", f"starting_after: the last event of {found.id} is number {last}; there is none behind {after}")


async def delete(background: Background, call: RequestContext, query: NoQuery) -> ResponseDeleted:
    id = _id(call)
    await in_thread(call.archive.delete_response, call.owner, id)
    background.stop(id)
    return ResponseDeleted(id=id)


async def cancel(background: Background, call: RequestContext, query: NoQuery, send: Send) -> None:
    """One that has come to an end already stays as it is; any other keeps what it has come to."""
    found = await _found(background, call)
    if not found.background:
        raise bad_request(
            "response_id", "response_id: only a response in the background can be cancelled; drop the connection of any other"
        )
    if found.status in UNFINISHED:
        await background.cancel(found.id)
        found = await in_thread(call.archive.response, call.owner, found.id)
    if found.status in UNFINISHED:  # another process is at it, and notices by its lease
        told = await in_thread(call.archive.events, call.owner, found.id, -1)
        body = {**found.body, "status": "cancelled", "output": made(told)}
        await in_thread(call.archive.finish_response, call.owner, found.id, "cancelled", body)
        found = await in_thread(call.archive.response, call.owner, found.id)
    await send_json(send, 200, json.dumps(shown(found.body, ())).encode())


def made(told: Sequence[tuple[int, str]]) -> list[Json]:
    """The items whose end has been told, from numbered events."""
    events: list[Json] = [json.loads(text) for _, text in told]
    return [event["item"] for event in events if event["type"] == "response.output_item.done"]


async def input_items(background: Background, call: RequestContext, query: wire.ItemsQuery, send: Send) -> None:
    found = await _found(background, call)
    items = found.input if query.order == "asc" else found.input[::-1]
    begin = 0 if query.after is None else _behind(items, query.after)
    page = [shown_item(item, query.include or ()) for item in items[begin : begin + query.limit]]
    await send_json(send, 200, json.dumps(listed(page, more=begin + query.limit < len(items))).encode())


def listed(items: Sequence[Json], *, more: bool) -> Json:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": more}


def _behind(items: Sequence[Json], after: str) -> int:
    at = next((at for at, item in enumerate(items) if item["id"] == after), None)
    if at is None:
        raise bad_request("after", f"after: the input has no item {after!r}")
    return at + 1


async def _found(background: Background, call: RequestContext) -> StoredResponse:
    id = _id(call)
    await background.bury(call.archive)
    return await in_thread(call.archive.response, call.owner, id)


def _id(call: RequestContext) -> str:
    """What cannot be an id need not be looked up. Without an archive there is none."""
    given = call.path_params["response_id"]
    if not ID.fullmatch(given) or call.runtime.archive is None:
        raise from_knowledge(NotFound("response", given))
    return given
