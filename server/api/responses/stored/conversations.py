"""Conversations: items that go from response to response."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, RootModel
from starlette.types import Send

from retrieval.records import Listing
from server.api.responses.ids import new_ids
from server.api.responses.items import kept
from server.api.responses.response import shown_item
from server.api.responses.types import conversations as wire
from server.api.responses.types.items import InputItem, ItemReference
from server.api.responses.types.request import ItemsQuery
from server.archive.api import Conversation, Json
from server.core.errors import bad_request
from server.core.threads import in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.handlers import body_endpoint, body_stream_endpoint, query_endpoint
from server.http.lists import NoQuery, ends
from server.http.sse import send_json
from server.runtime.state import ServerState

ALL, ONE = "/v1/conversations", "/v1/conversations/{conversation_id}"
ITEMS, ITEM = f"{ONE}/items", f"{ONE}/items/{{item_id}}"


class _Kept(RootModel[dict[str, Any]]):
    """As it was put there, by whichever version of the server."""


def endpoints(state: ServerState) -> list[Endpoint]:
    shape, gone = wire.Conversation, wire.ConversationDeleted
    return [
        body_endpoint(state, create, ALL, "Begin a conversation", wire.CreateConversation, shape),
        query_endpoint(state, "GET", one, ONE, "One conversation", NoQuery, shape),
        body_endpoint(state, update, ONE, "Change its metadata", wire.UpdateConversation, shape),
        query_endpoint(state, "DELETE", delete, ONE, "Delete a conversation with its items", NoQuery, gone),
        body_stream_endpoint(state, add, ITEMS, "Add items", wire.AddItems, wire.Items, query=wire.ItemQuery),
        query_endpoint(state, "GET", items, ITEMS, "The items of a conversation", ItemsQuery, wire.Items),
        query_endpoint(state, "GET", item, ITEM, "One item", wire.ItemQuery, wire.Item),
        query_endpoint(state, "DELETE", delete_item, ITEM, "Take an item out of a conversation", NoQuery, shape),
    ]


async def create(call: RequestContext, body: wire.CreateConversation) -> wire.Conversation:
    items = _items(body.items or ())
    return _shown(await in_thread(call.archive.create_conversation, call.owner, body.metadata or {}, items))


async def one(call: RequestContext, query: NoQuery) -> wire.Conversation:
    return _shown(await in_thread(call.archive.conversation, call.owner, call.conversation_id))


async def update(call: RequestContext, body: wire.UpdateConversation) -> wire.Conversation:
    return _shown(await in_thread(call.archive.change_conversation, call.owner, call.conversation_id, body.metadata or {}))


async def delete(call: RequestContext, query: NoQuery) -> wire.ConversationDeleted:
    await in_thread(call.archive.delete_conversation, call.owner, call.conversation_id)
    return wire.ConversationDeleted(id=call.conversation_id)


async def add(call: RequestContext, body: wire.AddItems, send: Send) -> None:
    """The answer leaves nothing out, whatever `include` says: the client has sent it all."""
    given = _items(body.items)
    await in_thread(call.archive.add_items, call.owner, call.conversation_id, given)
    await send_json(send, 200, _listed(given, more=False).model_dump_json().encode())


async def items(call: RequestContext, query: ItemsQuery) -> BaseModel:
    listing = Listing(limit=query.limit, order=query.order, after=query.after)
    page = await in_thread(call.archive.items, call.owner, call.conversation_id, listing)
    return _listed([shown_item(item, query.include or ()) for item in page.items], page.more)


async def item(call: RequestContext, query: wire.ItemQuery) -> BaseModel:
    found = await in_thread(call.archive.item, call.owner, call.conversation_id, call.item_id)
    return _Kept(shown_item(found, query.include or ()))


async def delete_item(call: RequestContext, query: NoQuery) -> wire.Conversation:
    await in_thread(call.archive.delete_item, call.owner, call.conversation_id, call.item_id)
    return await one(call, query)


def _items(given: Sequence[InputItem]) -> list[Json]:
    """With ids of their own, where they have none yet. Raises ApiError."""
    ids, taken, found = new_ids(), set[str](), list[Json]()
    for i, one in enumerate(given):
        if isinstance(one, ItemReference):
            raise bad_request(f"items.{i}.type", f"items.{i}.type: an item_reference is no item; send the item itself")
        found.append(kept(one, ids.item, taken))
    return found


def _shown(conversation: Conversation) -> wire.Conversation:
    return wire.Conversation(id=conversation.id, created_at=conversation.created_at, metadata=conversation.metadata)


def _listed(data: Sequence[Json], more: bool) -> _Kept:
    first, last = ends([one["id"] for one in data])
    return _Kept({"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more})
