"""What is kept of answers: responses, conversations, stored chat completions. Lies in the database of the knowledge base. Every
method is synchronous, safe to call from any thread and one transaction: when it has returned, its change survives the death of
the process. `owner` is the caller; what belongs to another is not found. Times are Unix seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from retrieval.records import Listing, Page

Json = dict[str, Any]
Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """`body`: the Response object as it is shown. `input`: what this request brought, each item with its id. `context`: all items
    that came before it, from previous responses or the conversation, is not kept here: it is looked up."""

    id: str
    owner: str
    created_at: int
    status: Status
    background: bool
    previous: str | None
    conversation: str | None
    body: Json
    input: list[Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A call that waits for an approval, as its owner has been told of it."""

    request: str  # id of the approval request
    label: str  # of the MCP server
    name: str  # of the tool
    arguments: str  # a digest of them


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    id: str
    owner: str
    created_at: int
    metadata: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCompletion:
    """`body`: the ChatCompletion object. `messages`: the request's, each with an id."""

    id: str
    owner: str
    created_at: int
    model: str
    metadata: dict[str, str]
    body: Json
    messages: list[Json]


class Responses(Protocol):
    def put_response(self, new: StoredResponse, items: Sequence[Json] = ()) -> None:
        """`items` go to the end of its conversation, in the same transaction; one that is in it already stays where it is, and
        there is nowhere to put them when the conversation has been deleted. One in the background that is not finished must be
        leased within a minute."""
        ...

    def finish_response(self, owner: str, response_id: str, status: Status, body: Json, items: Sequence[Json] = ()) -> bool:
        """`items` as in put_response. `status` may be "in_progress", which finishes nothing. False: it has been deleted, cancelled
        or finished meanwhile, and nothing was changed."""
        ...

    def response(self, owner: str, response_id: str) -> StoredResponse: ...
    def delete_response(self, owner: str, response_id: str) -> None: ...

    def chain(self, owner: str, response_id: str) -> list[StoredResponse]:
        """It and all that it goes back to, oldest first. Raises NotFound, also where one of them has been deleted."""
        ...

    def append_events(self, response_id: str, first: int, events: Sequence[str]) -> None:
        """Events (JSON texts) of a response in the background, numbered on from `first` without a gap. Those that are there already
        stay as they are: whoever does not know whether he has written them writes them again. To one that has been cancelled
        none are added: its readers have been told its end behind those that it had. Raises NotFound: it has been deleted."""
        ...

    def events(self, owner: str, response_id: str, after: int) -> list[tuple[int, str]]:
        """Those with numbers above `after`, in order."""
        ...

    def abandoned(self, worker: str) -> list[StoredResponse]:
        """Responses in the background whose process has died: queued or in progress, with a lease that has run out. They are the
        caller's for a minute, and longer by a lease."""
        ...

    def lease(self, response_id: str, worker: str, seconds: float) -> bool:
        """False: it is finished or deleted, or another's; stop."""
        ...

    def ask(self, owner: str, asked: Asked) -> None:
        """Its id is new."""
        ...

    def asked(self, owner: str, requests: Sequence[str]) -> dict[str, Asked]:
        """Those of them (ids) that the owner has been asked about."""
        ...

    def decide(self, owner: str, requests: Sequence[str]) -> set[str]:
        """Approval requests (ids) are answered, once and for good. Those that have been answered before; where there is one, none
        of the others is taken as answered."""
        ...


class Conversations(Protocol):
    def create_conversation(self, owner: str, metadata: Mapping[str, str], items: Sequence[Json]) -> Conversation: ...
    def conversation(self, owner: str, conversation_id: str) -> Conversation: ...
    def change_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> Conversation: ...
    def delete_conversation(self, owner: str, conversation_id: str) -> None: ...
    def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        """Each has an id already. Raises Conflict: the conversation has one with that id."""
        ...

    def extend_conversation(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        """`items` as in put_response, of a response that is not kept."""
        ...

    def items(self, owner: str, conversation_id: str, listing: Listing) -> Page[Json]: ...
    def all_items(self, owner: str, conversation_id: str) -> list[Json]:
        """Oldest first."""
        ...

    def item(self, owner: str, conversation_id: str, item_id: str) -> Json: ...
    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> None: ...


class Completions(Protocol):
    def put_completion(self, new: StoredCompletion) -> None: ...
    def completion(self, owner: str, completion_id: str) -> StoredCompletion: ...
    def completions(
        self, owner: str, listing: Listing, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Page[StoredCompletion]: ...
    def change_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> StoredCompletion: ...
    def delete_completion(self, owner: str, completion_id: str) -> None: ...


class Archive(Responses, Conversations, Completions, Protocol): ...
