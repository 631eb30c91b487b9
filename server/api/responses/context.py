"""What a request goes on from: earlier responses, a conversation, items that it refers to."""

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from retrieval.api import NotFound
from server.api.responses.ids import Ids, response_of
from server.api.responses.items import kept, user_message
from server.api.responses.types import items as wire
from server.api.responses.types.request import ConversationId, InputTokensRequest, ResponseRequest
from server.archive.api import Archive, StoredResponse
from server.core.errors import ApiError, bad_request
from server.core.messages import Json
from server.core.threads import in_thread
from server.runtime.runtime import Runtime, expect_archive

Asked = ResponseRequest | InputTokensRequest
UNFINISHED = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, kw_only=True)
class Context:
    """`items`: what this request brings, each with its id; `before`: all that came before it, oldest first."""

    before: Sequence[Json]
    items: Sequence[Json]
    conversation: str | None


async def look_up(runtime: Runtime, body: Asked, owner: str, ids: Ids) -> Context:
    """Raises ApiError."""
    conversation = body.conversation.id if isinstance(body.conversation, ConversationId) else body.conversation
    if body.previous_response_id and conversation:
        raise bad_request("conversation", "conversation and previous_response_id exclude each other")
    before = await _before(runtime, body.previous_response_id, conversation, owner)
    given = [user_message(body.input)] if isinstance(body.input, str) else body.input or []
    followed = await _followed(runtime, given, before, owner)
    taken, items = {item["id"] for item in before}, list[Json]()
    for one in given:
        if not isinstance(one, wire.ItemReference):
            items.append(kept(one, ids.item, taken))
        elif one.id not in taken:  # else it is there already
            items.append(followed[one.id])
            taken.add(one.id)
    if not items and not before:
        raise bad_request("input", "input: there is nothing to answer")
    return Context(before=before, items=items, conversation=conversation)


async def _before(runtime: Runtime, previous: str | None, conversation: str | None, owner: str) -> list[Json]:
    if previous:
        archive = archive_for(runtime, "previous_response_id")
        return await _named(_chained(archive, owner, previous), "previous_response_id")
    if conversation:
        archive = archive_for(runtime, "conversation")
        return await _named(in_thread(archive.all_items, owner, conversation), "conversation")
    return []


async def _named(items: Coroutine[Any, Any, list[Json]], field: str) -> list[Json]:
    """Whoever names what there is not learns in which field."""
    try:
        return await items
    except ApiError as error:
        raise replace(error, param=field) if error.param is None else error from error


async def _chained(archive: Archive, owner: str, previous: str) -> list[Json]:
    chain = await in_thread(archive.chain, owner, previous)
    if chain[-1].status in UNFINISHED:
        told = f"previous_response_id: {previous} is {chain[-1].status.replace('_', ' ')}; wait for its end"
        raise bad_request("previous_response_id", told, "response_not_finished")
    first = chain[0]
    known = await in_thread(archive.all_items, owner, first.conversation) if first.conversation else []
    there = {item["id"] for item in known}
    return [*_until(known, first), *(item for response in chain for item in of_response(response) if item["id"] not in there)]


def of_response(response: StoredResponse) -> list[Json]:
    """What it was sent and what it answered."""
    return [*response.input, *response.body["output"]]


def _until(items: Sequence[Json], response: StoredResponse) -> list[Json]:
    """A conversation as it was when the response was finished."""
    mine = {item["id"] for item in of_response(response)}
    last = max((at for at, item in enumerate(items) if item["id"] in mine), default=-1)
    return list(items[: last + 1])


async def _followed(runtime: Runtime, given: Sequence[wire.InputItem], before: Sequence[Json], owner: str) -> dict[str, Json]:
    """What is referred to, by id."""
    known = {item["id"] for item in before}
    found = dict[str, Json]()
    for at, one in enumerate(given):
        if isinstance(one, wire.ItemReference) and one.id not in known and one.id not in found:
            found[one.id] = await _referred(runtime, one.id, owner, f"input.{at}.id")
    return found


async def _referred(runtime: Runtime, item_id: str, owner: str, field: str) -> Json:
    response_id = response_of(item_id)
    if runtime.archive is not None and response_id is not None:
        try:
            response = await in_thread(runtime.archive.response, owner, response_id)
        except ApiError as error:
            if not isinstance(error.__cause__, NotFound):
                raise
        else:
            for item in of_response(response):
                if item["id"] == item_id:
                    return item
    raise ApiError(404, f"{field}: there is no item {item_id!r} in this conversation or any stored response", field, "item_not_found")


def archive_for(runtime: Runtime, field: str) -> Archive:
    """What `field` asks for needs it. Raises ApiError."""
    try:
        return expect_archive(runtime)
    except ApiError as error:
        told = f"{field}: {error.message}: start it with an embedding model (STOA_EMBEDDING_MODEL)"
        raise replace(error, param=field, message=told) from error
