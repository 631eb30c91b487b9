"""Stored chat completions (`store: true`): writing them, and the endpoints that list, read, change and delete them."""

from typing import Any, cast

from pydantic import BaseModel

from retrieval.api import NotFound
from retrieval.records import PageRequest
from server.api.chat_completions.request import PreparedChat
from server.api.chat_completions.stored import types as wire
from server.api.chat_completions.types import ChatResponse
from server.archive.api import Json, StoredCompletion
from server.core.errors import from_knowledge_error
from server.core.threads import in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import RawJson
from server.http.handlers import body_endpoint, query_endpoint
from server.http.lists import NoQuery, to_raw_list_object
from server.runtime.state import ServerState

LIST_PATH = "/v1/chat/completions"
PATH = f"{LIST_PATH}/{{completion_id}}"


async def store_response(chat: PreparedChat, response: ChatResponse) -> None:
    """Does nothing for a chat that is not stored."""
    if chat.archive is None:
        return
    messages = [{"id": f"{chat.id}-{i}", **m.model_dump(mode="json", exclude_none=True)} for i, m in enumerate(chat.body.messages)]
    completion = StoredCompletion(
        id=chat.id,
        owner=chat.plan.caller.owner,
        created_at=chat.plan.created,
        model=response.model,
        metadata=chat.body.metadata or {},
        body=response.model_dump(mode="json"),
        messages=messages,
    )
    await in_thread(chat.archive.put_completion, completion)


def endpoints(state: ServerState) -> list[Endpoint]:
    list_query, messages_query = wire.StoredChatsQuery, wire.StoredMessagesQuery
    return [
        query_endpoint(state, "GET", list_completions, LIST_PATH, "The chat completions that were stored", list_query, wire.StoredChatList),
        query_endpoint(state, "GET", get_completion, PATH, "One of them", NoQuery, ChatResponse),
        body_endpoint(state, update_completion, PATH, "Change its metadata", wire.UpdateStoredChat, ChatResponse),
        query_endpoint(state, "DELETE", delete_completion, PATH, "Delete it", NoQuery, wire.StoredChatDeleted),
        query_endpoint(state, "GET", list_messages, f"{PATH}/messages", "What it answered", messages_query, wire.StoredMessageList),
    ]


async def list_completions(context: RequestContext, query: wire.StoredChatsQuery) -> BaseModel:
    request = PageRequest(limit=query.limit, order=query.order, after=query.after)
    page = await in_thread(context.archive.completions, context.owner, request, model=query.model, metadata=query.metadata)
    return to_raw_list_object([_to_body(completion) for completion in page.items], page.more)


async def get_completion(context: RequestContext, query: NoQuery) -> BaseModel:
    return RawJson(_to_body(await in_thread(context.archive.completion, context.owner, context.completion_id)))


async def update_completion(context: RequestContext, body: wire.UpdateStoredChat) -> BaseModel:
    change = context.archive.change_completion
    return RawJson(_to_body(await in_thread(change, context.owner, context.completion_id, body.metadata or {})))


async def delete_completion(context: RequestContext, query: NoQuery) -> wire.StoredChatDeleted:
    await in_thread(context.archive.delete_completion, context.owner, context.completion_id)
    return wire.StoredChatDeleted(id=context.completion_id)


async def list_messages(context: RequestContext, query: wire.StoredMessagesQuery) -> BaseModel:
    completion = await in_thread(context.archive.completion, context.owner, context.completion_id)
    messages = [_to_stored_message(message) for message in completion.messages]
    if query.order == "desc":
        messages.reverse()
    rest = messages[_start_index(messages, query.after) :]
    return to_raw_list_object(rest[: query.limit], len(rest) > query.limit)


def _to_body(completion: StoredCompletion) -> Json:
    return {**completion.body, "metadata": completion.metadata}


def _start_index(messages: list[Json], after: str | None) -> int:
    """Index of the message behind the one whose id is `after`. Raises ApiError where there is none."""
    if after is None:
        return 0
    index = next((i for i, message in enumerate(messages, 1) if message["id"] == after), None)
    if index is None:
        raise from_knowledge_error(NotFound("message", after))
    return index


def _to_stored_message(message: Json) -> Json:
    """From a message of the request to a StoredMessage: `content` is a string or null, parts stand in `content_parts`."""
    content: Any = message.get("content")
    parts = cast(list[Json], content) if isinstance(content, list) else None
    texts = None if parts is None else [{"type": "text", "text": part["text"]} for part in parts if "text" in part]
    refusals = [part["refusal"] for part in parts or () if "refusal" in part]
    optional = {name: message[name] for name in ("name", "tool_calls", "tool_call_id") if message.get(name) is not None}
    refusal = message.get("refusal") or "\n".join(refusals) or None
    fields: Json = {"content": content if parts is None else None, "content_parts": texts, "refusal": refusal}
    return {"id": message["id"], "role": message["role"], **fields, **optional}
