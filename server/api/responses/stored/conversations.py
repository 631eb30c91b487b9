"""The endpoints of /v1/conversations."""

from collections.abc import Sequence

from pydantic import BaseModel
from starlette.types import Send

from retrieval.records import PageRequest
from server.api.responses.history import open_compaction
from server.api.responses.ids import new_id_generator
from server.api.responses.include import filter_item
from server.api.responses.input_items import normalize_item
from server.api.responses.types import conversations as wire
from server.api.responses.types.input_items import Compaction, InputItem, ItemReference
from server.api.responses.types.request import ItemsQuery
from server.archive.api import Conversation, Json
from server.core.errors import bad_request
from server.core.threads import in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import RawJson
from server.http.handlers import body_endpoint, body_stream_endpoint, query_endpoint
from server.http.lists import ListQuery, NoQuery, to_list_object, to_page_request, to_raw_list_object
from server.http.sse import send_json
from server.runtime.state import ServerState

ALL, ONE = "/v1/conversations", "/v1/conversations/{conversation_id}"
ITEMS, ITEM = f"{ONE}/items", f"{ONE}/items/{{item_id}}"


def endpoints(state: ServerState) -> list[Endpoint]:
    conversation, deleted = wire.Conversation, wire.ConversationDeleted
    return [
        body_endpoint(state, create, ALL, "Begin a conversation", wire.CreateConversation, conversation),
        query_endpoint(state, "GET", list_all, ALL, "The conversations", ListQuery, wire.ConversationList),
        query_endpoint(state, "GET", retrieve, ONE, "One conversation", NoQuery, conversation),
        body_endpoint(state, update, ONE, "Change its metadata", wire.UpdateConversation, conversation),
        query_endpoint(state, "DELETE", delete, ONE, "Delete a conversation with its items", NoQuery, deleted),
        body_stream_endpoint(state, add_items, ITEMS, "Add items", wire.AddItems, wire.Items, query=wire.ItemQuery),
        query_endpoint(state, "GET", list_items, ITEMS, "The items of a conversation", ItemsQuery, wire.Items),
        query_endpoint(state, "GET", retrieve_item, ITEM, "One item", wire.ItemQuery, wire.Item),
        query_endpoint(state, "DELETE", delete_item, ITEM, "Take an item out of a conversation", NoQuery, conversation),
    ]


async def create(context: RequestContext, body: wire.CreateConversation) -> wire.Conversation:
    items = _normalize_items(context, body.items or ())
    return _to_wire(await in_thread(context.archive.create_conversation, context.owner, body.metadata or {}, items))


async def list_all(context: RequestContext, query: ListQuery) -> wire.ConversationList:
    page = await in_thread(context.archive.conversations, context.owner, to_page_request(query))
    return to_list_object(wire.ConversationList, [_to_wire(found) for found in page.items], page.more)


async def retrieve(context: RequestContext, query: NoQuery) -> wire.Conversation:
    return _to_wire(await in_thread(context.archive.conversation, context.owner, context.conversation_id))


async def update(context: RequestContext, body: wire.UpdateConversation) -> wire.Conversation:
    change = context.archive.change_conversation
    return _to_wire(await in_thread(change, context.owner, context.conversation_id, body.metadata or {}))


async def delete(context: RequestContext, query: NoQuery) -> wire.ConversationDeleted:
    await in_thread(context.archive.delete_conversation, context.owner, context.conversation_id)
    return wire.ConversationDeleted(id=context.conversation_id)


async def add_items(context: RequestContext, body: wire.AddItems, send: Send) -> None:
    """The answer ignores `include` and leaves nothing out: the client has sent it all."""
    items = _normalize_items(context, body.items)
    await in_thread(context.archive.add_items, context.owner, context.conversation_id, items)
    await send_json(send, 200, to_raw_list_object(items, has_more=False).model_dump_json().encode())


async def list_items(context: RequestContext, query: ItemsQuery) -> BaseModel:
    listing = PageRequest(limit=query.limit, order=query.order, after=query.after)
    page = await in_thread(context.archive.items, context.owner, context.conversation_id, listing)
    return to_raw_list_object([filter_item(item, query.include or ()) for item in page.items], has_more=page.more)


async def retrieve_item(context: RequestContext, query: wire.ItemQuery) -> BaseModel:
    item = await in_thread(context.archive.item, context.owner, context.conversation_id, context.item_id)
    return RawJson(filter_item(item, query.include or ()))


async def delete_item(context: RequestContext, query: NoQuery) -> wire.Conversation:
    await in_thread(context.archive.delete_item, context.owner, context.conversation_id, context.item_id)
    return await retrieve(context, query)


def _normalize_items(context: RequestContext, items: Sequence[InputItem]) -> list[Json]:
    """Items without ids get new ones. Raises ApiError."""
    ids, taken_ids, found = new_id_generator(), set[str](), list[Json]()
    for i, item in enumerate(items):
        if isinstance(item, ItemReference):
            raise bad_request(f"items.{i}.type", f"items.{i}.type: an item_reference is no item; send the item itself")
        found.append(normalize_item(item, ids.new_item_id, taken_ids))
        if isinstance(item, Compaction):
            open_compaction(context.runtime, found[-1], f"items.{i}")
    return found


def _to_wire(conversation: Conversation) -> wire.Conversation:
    return wire.Conversation(id=conversation.id, created_at=conversation.created_at, metadata=conversation.metadata)
