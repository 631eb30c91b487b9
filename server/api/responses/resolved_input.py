"""Resolves a request's input: items of previous responses or of a conversation, and the items that item references point to."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrieval.api import NotFound
from server.api.responses.ids import IdGenerator, response_id_of
from server.api.responses.input_items import normalize_item, user_message
from server.api.responses.types import input_items as wire
from server.api.responses.types.compaction import CompactRequest
from server.api.responses.types.request import ConversationId, InputTokensRequest, ResponseRequest
from server.api.responses.types.websocket import ResponseCreate
from server.archive.api import Archive, StoredResponse
from server.core.errors import ApiError, bad_request
from server.core.messages import Json
from server.core.threads import in_thread, in_thread_if_large_body
from server.runtime.runtime import Runtime, expect_archive

RequestBody = ResponseRequest | InputTokensRequest | CompactRequest
UNFINISHED = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, slots=True)
class RememberedChain:
    """All items of a response and its predecessors. `stored`: the archive has them, too."""

    items: Sequence[Json]
    stored: bool


Remembered = Callable[[str], RememberedChain | None]  # by id of the response


@dataclass(frozen=True, kw_only=True)
class ResolvedInput:
    """`earlier_items`: of previous responses or of the conversation, oldest first. `new_items`: of this request. All have ids.
    `compaction`: the item that this server adds to them, as they are too many. `detached`: the archive does not have the earlier ones."""

    earlier_items: Sequence[Json]
    new_items: Sequence[Json]
    conversation_id: str | None
    compaction: Json | None = None
    detached: bool = False


async def resolve_input(
    runtime: Runtime, body: RequestBody, owner: str, ids: IdGenerator, remembered: Remembered | None = None
) -> ResolvedInput:
    """`remembered`: what the connection knows of responses. Raises ApiError."""
    conversation_id = body.conversation.id if isinstance(body.conversation, ConversationId) else body.conversation
    if body.previous_response_id and conversation_id:
        raise bad_request("conversation", "conversation and previous_response_id exclude each other")
    found = remembered(body.previous_response_id) if remembered and body.previous_response_id else None
    earlier = await _earlier_items(runtime, body.previous_response_id, conversation_id, owner) if found is None else found.items
    input_items = [user_message(body.input)] if isinstance(body.input, str) else body.input or []
    referenced = await _resolve_references(runtime, input_items, earlier, owner)
    new_items = await in_thread_if_large_body(_new_items, input_items, {item["id"] for item in earlier}, referenced, ids)
    if not new_items and not earlier and not _is_warm_up(body):
        raise bad_request("input", "input: there is nothing to answer")
    detached = found is not None and not found.stored
    return ResolvedInput(earlier_items=earlier, new_items=new_items, conversation_id=conversation_id, detached=detached)


def _new_items(input_items: Sequence[wire.InputItem], taken_ids: set[str], referenced: Mapping[str, Json], ids: IdGenerator) -> list[Json]:
    """`taken_ids`: of the items before; those of the new ones are added."""
    new_items = list[Json]()
    for item in input_items:
        if not isinstance(item, wire.ItemReference):
            new_items.append(normalize_item(item, ids.new_item_id, taken_ids))
        elif item.id not in taken_ids:  # otherwise it is in the input already
            new_items.append(referenced[item.id])
            taken_ids.add(item.id)
    return new_items


def _is_warm_up(body: RequestBody) -> bool:
    """Instructions and tools alone may be prepared."""
    return isinstance(body, ResponseCreate) and body.generate is False


async def _earlier_items(runtime: Runtime, previous_id: str | None, conversation_id: str | None, owner: str) -> list[Json]:
    if previous_id:
        archive = expect_archive_for(runtime, "previous_response_id")
        try:
            return await _blaming_field(_chain_items(archive, owner, previous_id), "previous_response_id")
        except ApiError as error:
            if isinstance(error.__cause__, NotFound) or isinstance(getattr(error.__cause__, "__cause__", None), NotFound):
                told = f"previous_response_id: there is no response {previous_id!r}, or it was not stored"
                raise bad_request("previous_response_id", told, "previous_response_not_found") from error
            raise
    if conversation_id:
        archive = expect_archive_for(runtime, "conversation")
        return await _blaming_field(in_thread(archive.all_items, owner, conversation_id), "conversation")
    return []


async def _blaming_field(items: Coroutine[Any, Any, list[Json]], field: str) -> list[Json]:
    """Adds the field to an ApiError that has none."""
    try:
        return await items
    except ApiError as error:
        raise replace(error, param=field) if error.param is None else error from error


async def _chain_items(archive: Archive, owner: str, previous_id: str) -> list[Json]:
    """The items of a response and all its predecessors; if the first of them was in a conversation, preceded by its items."""
    chain = await in_thread(archive.chain, owner, previous_id)
    if chain[-1].status in UNFINISHED:
        message = f"previous_response_id: {previous_id} is {chain[-1].status.replace('_', ' ')}; wait for its end"
        raise bad_request("previous_response_id", message, "response_not_finished")
    first = chain[0]
    conversation = await in_thread(archive.all_items, owner, first.conversation) if first.conversation else []
    known_ids = {item["id"] for item in conversation}
    new_items = [item for response in chain for item in response_items(response) if item["id"] not in known_ids]
    return [*_items_up_to(conversation, first), *new_items]


def response_items(response: StoredResponse) -> list[Json]:
    """A response's input and output."""
    return [*response.input, *response.body["output"]]


def _items_up_to(items: Sequence[Json], response: StoredResponse) -> list[Json]:
    """A conversation's items up to the last one of `response`."""
    own_ids = {item["id"] for item in response_items(response)}
    last = max((i for i, item in enumerate(items) if item["id"] in own_ids), default=-1)
    return list(items[: last + 1])


async def _resolve_references(
    runtime: Runtime, input_items: Sequence[wire.InputItem], earlier: Sequence[Json], owner: str
) -> dict[str, Json]:
    """By id, the items that references point to and that are not among the earlier items."""
    known_ids = {item["id"] for item in earlier}
    found = dict[str, Json]()
    for i, item in enumerate(input_items):
        if isinstance(item, wire.ItemReference) and item.id not in known_ids and item.id not in found:
            found[item.id] = await _stored_item(runtime, item.id, owner, f"input.{i}.id")
    return found


async def _stored_item(runtime: Runtime, item_id: str, owner: str, field: str) -> Json:
    """The item, from the stored response that its id names. Raises ApiError."""
    response_id = response_id_of(item_id)
    if runtime.archive is not None and response_id is not None:
        try:
            response = await in_thread(runtime.archive.response, owner, response_id)
        except ApiError as error:
            if not isinstance(error.__cause__, NotFound):
                raise
        else:
            for item in response_items(response):
                if item["id"] == item_id:
                    return item
    raise ApiError(404, f"{field}: there is no item {item_id!r} in this conversation or any stored response", field, "item_not_found")


def expect_archive_for(runtime: Runtime, field: str) -> Archive:
    """Raises ApiError that names `field` if the server has no archive."""
    try:
        return expect_archive(runtime)
    except ApiError as error:
        message = f"{field}: {error.message}: start it with an embedding model (STOA_EMBEDDING_MODEL)"
        raise replace(error, param=field, message=message) from error
