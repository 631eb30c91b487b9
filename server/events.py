"""What happens while a wish is fulfilled, in order. Each API tells it in its own words.

A turn of the model is a row of Pieces (server/reply.py), the last of which has `end` and `usage`. Between the turns server tools
run. `Ended` comes last, once for each of the wish's answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from engine.api import Usage
from retrieval.api import Hit
from retrieval.cite import Citation
from server.host.api import HostedTool, Outcome
from server.reply import Piece


@dataclass(frozen=True, slots=True, kw_only=True)
class Searching:
    """In the documents, which comes before the first turn."""

    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    queries: tuple[str, ...]
    hits: tuple[Hit, ...]  # hits[n - 1] is what a mark [n] of the answer stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """Of the turn's answer so far; `index` counts its characters."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """`error`: the server could not be asked; the model answers without it."""

    label: str
    tools: tuple[HostedTool, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A server tool begins to run. `call`: the id that its Pieces have, or that of a Pending's request."""

    call: str
    label: str
    name: str  # as its server calls it
    arguments: str
    approval: str | None = None  # id of the request by which it was approved


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    call: str
    label: str
    name: str
    arguments: str
    outcome: Outcome
    approval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Wanted before this call runs; the answer ends here. `call` as in its Pieces."""

    call: str
    label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """tool_calls: the client has calls to run. approval: it has approvals to give. usage: of all turns together."""

    reason: Literal["stop", "length", "tool_calls", "approval"]
    usage: Usage
    thought_tokens: int = 0


Event = Piece | Searching | Searched | Cited | Listing | Listed | Running | Ran | Approval | Ended
