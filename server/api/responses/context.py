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
from server.core.errors import ApiError, bad
from server.core.messages import Json
from server.core.threads import threaded
from server.runtime.runtime import Served, expect_archive

Asked = ResponseRequest | InputTokensRequest
UNFINISHED = frozenset({"queued", "in_progress"})


@dataclass(frozen=True, kw_only=True)
class Context:
    """`items`: what this request brings, each with its id; `before`: all that came before it, oldest first."""

    before: Sequence[Json]
    items: Sequence[Json]
    conversation: str | None


async def look_up(served: Served, body: Asked, owner: str, ids: Ids) -> Context:
    """Raises ApiError."""
    conversation = body.conversation.id if isinstance(body.conversation, ConversationId) else body.conversation
    if body.previous_response_id and conversation:
        raise bad("conversation", "conversation and previous_response_id exclude each other")
    before = await _before(served, body.previous_response_id, conversation, owner)
    given = [user_message(body.input)] if isinstance(body.input, str) else body.input or []
    followed = await _followed(served, given, before, owner)
    taken, items = {item["id"] for item in before}, list[Json]()
    for one in given:
        if not isinstance(one, wire.ItemReference):
            items.append(kept(one, ids.item, taken))
        elif one.id not in taken:  # else it is there already
            items.append(followed[one.id])
            taken.add(one.id)
    if not items and not before:
        raise bad("input", "input: there is nothing to answer")
    return Context(before=before, items=items, conversation=conversation)


async def _before(served: Served, previous: str | None, conversation: str | None, owner: str) -> list[Json]:
    if previous:
        archive = archive_for(served, "previous_response_id")
        return await _named(_chained(archive, owner, previous), "previous_response_id")
    if conversation:
        archive = archive_for(served, "conversation")
        return await _named(threaded(archive.all_items, owner, conversation), "conversation")
    return []


async def _named(items: Coroutine[Any, Any, list[Json]], field: str) -> list[Json]:
    """Whoever names what there is not learns in which field."""
    try:
        return await items
    except ApiError as error:
        raise replace(error, param=field) if error.param is None else error from error


async def _chained(archive: Archive, owner: str, previous: str) -> list[Json]:
    chain = await threaded(archive.chain, owner, previous)
    if chain[-1].status in UNFINISHED:
        told = f"previous_response_id: {previous} is {chain[-1].status.replace('_', ' ')}; wait for its end"
        raise bad("previous_response_id", told, "response_not_finished")
    first = chain[0]
    known = await threaded(archive.all_items, owner, first.conversation) if first.conversation else []
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


async def _followed(served: Served, given: Sequence[wire.InputItem], before: Sequence[Json], owner: str) -> dict[str, Json]:
    """What is referred to, by id."""
    known = {item["id"] for item in before}
    found = dict[str, Json]()
    for at, one in enumerate(given):
        if isinstance(one, wire.ItemReference) and one.id not in known and one.id not in found:
            found[one.id] = await _referred(served, one.id, owner, f"input.{at}.id")
    return found


async def _referred(served: Served, item_id: str, owner: str, field: str) -> Json:
    response_id = response_of(item_id)
    if served.archive is not None and response_id is not None:
        try:
            response = await threaded(served.archive.response, owner, response_id)
        except ApiError as error:
            if not isinstance(error.__cause__, NotFound):
                raise
        else:
            for item in of_response(response):
                if item["id"] == item_id:
                    return item
    raise ApiError(404, f"{field}: there is no item {item_id!r} in this conversation or any stored response", field, "item_not_found")


def archive_for(served: Served, field: str) -> Archive:
    """What `field` asks for needs it. Raises ApiError."""
    try:
        return expect_archive(served)
    except ApiError as error:
        told = f"{field}: {error.message}: start it with an embedding model (STOA_EMBEDDING_MODEL)"
        raise replace(error, param=field, message=told) from error
