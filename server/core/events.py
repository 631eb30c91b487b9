"""What happens while a wish is fulfilled, in order. Each API tells it in its own words.

A turn of the model is a row of Pieces (server/chat/output_parser.py), the last of which has `end` and `usage`. Between the turns server tools
run. `Ended` comes last, once for each of the wish's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.api import TokenLogprob, Usage
from retrieval.api import Hit
from retrieval.cite import Citation
from server.core.tool_host import HostedTool, Outcome


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


End = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Logged:
    token: TokenLogprob
    offset: int  # where in the sequence's text it begins, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDelta:
    """What was added to a tool call. Its first one has `begun`, its last one `done`; all `arguments` together are JSON text."""

    id: str  # call_...
    name: str  # as the model knows the tool
    label: str | None = None  # of the MCP server that runs it; None: the client does
    tool: str = ""  # as that server calls it
    arguments: str = ""
    begun: bool = False
    done: bool = False


@dataclass(slots=True)
class Piece:
    """What one or more tokens added: thought, then answer, then calls. The last one of a sequence has `end`; it and the first have
    `usage`, as it is by then."""

    answer: str = ""
    thought: str = ""
    calls: list[CallDelta] = field(default_factory=list[CallDelta])
    logged: list[Logged] = field(default_factory=list[Logged])
    end: End | None = None
    stop: str | None = None  # the stop string that ended it, if one did
    usage: Usage | None = None
    thought_tokens: int = 0  # in all, so far

    @property
    def empty(self) -> bool:
        return not (self.answer or self.thought or self.calls or self.logged or self.end)


Event = Piece | Searching | Searched | Cited | Listing | Listed | Running | Ran | Approval | Ended
