"""Chat completions that were kept (`store: true`)."""

from typing import Any, cast

from pydantic import BaseModel

from retrieval.api import NotFound
from retrieval.records import PageRequest
from server.api.chat_completions import stored_types as wire
from server.api.chat_completions.types import ChatResponse
from server.archive.api import Json, StoredCompletion
from server.core.errors import from_knowledge
from server.core.threads import in_thread
from server.http.context import RequestContext
from server.http.endpoint import Endpoint
from server.http.fields import RawJson
from server.http.handlers import body_endpoint, query_endpoint
from server.http.lists import NoQuery, to_raw_list_object
from server.runtime.state import ServerState

ALL, ONE = "/v1/chat/completions", "/v1/chat/completions/{completion_id}"


def endpoints(state: ServerState) -> list[Endpoint]:
    query, messages = wire.StoredChatsQuery, wire.StoredMessagesQuery
    return [
        query_endpoint(state, "GET", every, ALL, "The chat completions that were stored", query, wire.StoredChatList),
        query_endpoint(state, "GET", one, ONE, "One of them", NoQuery, ChatResponse),
        body_endpoint(state, update, ONE, "Change its metadata", wire.UpdateStoredChat, ChatResponse),
        query_endpoint(state, "DELETE", delete, ONE, "Delete it", NoQuery, wire.StoredChatDeleted),
        query_endpoint(state, "GET", said, f"{ONE}/messages", "What it answered", messages, wire.StoredMessageList),
    ]


async def every(call: RequestContext, query: wire.StoredChatsQuery) -> BaseModel:
    listing = PageRequest(limit=query.limit, order=query.order, after=query.after)
    page = await in_thread(call.archive.completions, call.owner, listing, model=query.model, metadata=query.metadata)
    return to_raw_list_object([_body(kept) for kept in page.items], page.more)


async def one(call: RequestContext, query: NoQuery) -> BaseModel:
    return RawJson(_body(await in_thread(call.archive.completion, call.owner, call.completion_id)))


async def update(call: RequestContext, body: wire.UpdateStoredChat) -> BaseModel:
    return RawJson(_body(await in_thread(call.archive.change_completion, call.owner, call.completion_id, body.metadata or {})))


async def delete(call: RequestContext, query: NoQuery) -> wire.StoredChatDeleted:
    await in_thread(call.archive.delete_completion, call.owner, call.completion_id)
    return wire.StoredChatDeleted(id=call.completion_id)


async def said(call: RequestContext, query: wire.StoredMessagesQuery) -> BaseModel:
    kept = await in_thread(call.archive.completion, call.owner, call.completion_id)
    messages = [_message(message) for message in kept.messages]
    if query.order == "desc":
        messages.reverse()
    left = messages[_behind(messages, query.after) :]
    return to_raw_list_object(left[: query.limit], len(left) > query.limit)


def _body(kept: StoredCompletion) -> Json:
    return {**kept.body, "metadata": kept.metadata}


def _behind(messages: list[Json], after: str | None) -> int:
    if after is None:
        return 0
    found = next((i for i, message in enumerate(messages, 1) if message["id"] == after), None)
    if found is None:
        raise from_knowledge(NotFound("message", after))
    return found


def _message(given: Json) -> Json:
    content: Any = given.get("content")
    listed = cast(list[Json], content) if isinstance(content, list) else None
    parts = None if listed is None else [{"type": "text", "text": part["text"]} for part in listed if "text" in part]
    refused = [part["refusal"] for part in listed or () if "refusal" in part]
    more = {name: given[name] for name in ("name", "tool_calls", "tool_call_id") if given.get(name) is not None}
    refusal = given.get("refusal") or "\n".join(refused) or None
    told: Json = {"content": content if listed is None else None, "content_parts": parts, "refusal": refusal}
    return {"id": given["id"], "role": given["role"], **told, **more}
