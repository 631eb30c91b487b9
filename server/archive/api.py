"""The archive's interface: stored responses, approvals, conversations, chat completions, batches and uploads, in the knowledge base's
database. Every method is synchronous, thread-safe and one transaction (but for long content): when it has returned, its change is durable.
`owner` is the caller's id; what belongs to another owner is not found. Times are Unix seconds."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from retrieval.records import Page, PageRequest
from server.archive.batches.records import Batches
from server.archive.uploads.records import Uploads

Json = dict[str, Any]
Status = Literal["queued", "in_progress", "completed", "failed", "incomplete", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """`body`: the Response object. `input`: the items that this request sent, each with its id. Items from previous responses or
    from the conversation are not copied here."""

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
class ApprovalRequestRecord:
    """An MCP tool call that waits for an approval, as its owner was told of it."""

    approval_id: str
    server_label: str
    tool_name: str
    arguments_digest: str


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
    def put_response(self, new: StoredResponse, items: Sequence[Json] = (), worker: str | None = None) -> None:
        """Appends `items` to its conversation in the same transaction, except those that the conversation has already; they are
        dropped if the conversation has been deleted. For an unfinished background response, `worker` says who runs it, and
        acquire_lease must be called within a minute."""
        ...

    def finish_response(self, owner: str, response_id: str, status: Status, body: Json, items: Sequence[Json] = ()) -> bool:
        """`items` as in put_response. `status` may also be "in_progress". Returns False, and changes nothing, if the response has
        been deleted, cancelled or finished meanwhile."""
        ...

    def response(self, owner: str, response_id: str) -> StoredResponse: ...
    def delete_response(self, owner: str, response_id: str) -> None: ...

    def chain(self, owner: str, response_id: str) -> list[StoredResponse]:
        """The response and all its predecessors, oldest first. Raises NotFound, also if one of the predecessors has been deleted."""
        ...

    def append_events(self, response_id: str, first: int, events: Sequence[str]) -> bool:
        """Adds events (JSON texts) of a background response, numbered consecutively from `first`. Numbers that exist already are
        skipped, so a write whose success is unknown can be repeated. Returns False if the response takes no more events, as its readers
        may have been sent the final one already: it was cancelled, or its worker was taken for dead. Raises NotFound if the response has
        been deleted."""
        ...

    def events(self, owner: str, response_id: str, after: int) -> list[tuple[int, str]]:
        """Events with numbers above `after`, in order."""
        ...

    def claim_abandoned(self, worker: str) -> list[StoredResponse]:
        """Claims for `worker` the unfinished background responses whose lease has expired because their process died. The claim
        lasts a minute; acquire_lease prolongs it."""
        ...

    def acquire_lease(self, response_id: str, worker: str, seconds: float) -> bool:
        """Acquires or renews. Returns False if the response is finished or deleted, or leased to another worker: then stop."""
        ...


class Approvals(Protocol):
    def put_approval_request(self, owner: str, new: ApprovalRequestRecord) -> None:
        """Its id must be new."""
        ...

    def approval_requests(self, owner: str, approval_ids: Sequence[str]) -> dict[str, ApprovalRequestRecord]:
        """By id, those that this owner has been sent; other ids are left out."""
        ...

    def record_decisions(self, owner: str, approval_ids: Sequence[str]) -> set[str]:
        """Marks approval requests as answered, which is possible once for each. Returns the ids that had been answered before; if
        there are any, none of the others is marked."""
        ...


class Conversations(Protocol):
    def create_conversation(self, owner: str, metadata: Mapping[str, str], items: Sequence[Json]) -> Conversation: ...
    def conversation(self, owner: str, conversation_id: str) -> Conversation: ...
    def conversations(self, owner: str, listing: PageRequest) -> Page[Conversation]: ...
    def change_conversation(self, owner: str, conversation_id: str, metadata: Mapping[str, str]) -> Conversation: ...
    def delete_conversation(self, owner: str, conversation_id: str) -> None: ...
    def add_items(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        """Each item has an id. Raises Conflict if the conversation has an item with that id."""
        ...

    def extend_conversation(self, owner: str, conversation_id: str, items: Sequence[Json]) -> None:
        """Appends the items of a response that is not stored; `items` as in put_response."""
        ...

    def items(self, owner: str, conversation_id: str, listing: PageRequest) -> Page[Json]: ...
    def all_items(self, owner: str, conversation_id: str) -> list[Json]:
        """Oldest first."""
        ...

    def item(self, owner: str, conversation_id: str, item_id: str) -> Json: ...
    def delete_item(self, owner: str, conversation_id: str, item_id: str) -> None: ...


class Completions(Protocol):
    def put_completion(self, new: StoredCompletion) -> None: ...
    def completion(self, owner: str, completion_id: str) -> StoredCompletion: ...
    def completions(
        self, owner: str, listing: PageRequest, *, model: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Page[StoredCompletion]:
        """`metadata`: only completions that have all these keys with these values."""
        ...

    def change_completion(self, owner: str, completion_id: str, metadata: Mapping[str, str]) -> StoredCompletion: ...
    def delete_completion(self, owner: str, completion_id: str) -> None: ...


class Keys(Protocol):
    def sealing_key(self) -> bytes:
        """256 random bits, made by the first who asks: the same for all processes with this database, and after a restart."""
        ...


class Workers(Protocol):
    """The processes that share the database. Their names are those in the leases of files, responses and batches."""

    def beat(self, names: Collection[str]) -> Mapping[str, int]:
        """Says that the workers with these names are alive. Returns how often each of the others has said so."""
        ...

    def abandon(self, name: str) -> bool:
        """A worker is dead, or stops: its leases end now, so that others take over what it has left. False: that has been said before."""
        ...


class Pins(Protocol):
    """The tools of MCP servers, by the servers' labels: tool name -> digest of what was trusted."""

    def pinned_tools(self, label: str) -> Mapping[str, str] | None: ...
    def pin_tools(self, label: str, digests: Mapping[str, str]) -> None: ...
    def pin_tools_first(self, label: str, digests: Mapping[str, str]) -> Mapping[str, str]:
        """Pins them unless some are pinned already. Returns those that are pinned now."""
        ...


class Archive(Responses, Approvals, Conversations, Completions, Batches, Uploads, Keys, Workers, Pins, Protocol): ...
