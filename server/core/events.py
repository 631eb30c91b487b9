"""What happens while a wish is fulfilled, in order. Each API tells it in its own words.

A turn of the model is a row of Pieces (server/chat/output_parser.py), the last of which has `end` and `usage`. Between the turns server tools
run. `Ended` comes last, once for each of the wish's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.api import TokenLogprob, Usage
from retrieval.api import Hit
from retrieval.citations.cite import Citation
from server.core.tool_host import HostedTool, ToolOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStarted:
    """In the documents, which comes before the first turn."""

    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFinished:
    queries: tuple[str, ...]
    hits: tuple[Hit, ...]  # hits[n - 1] is what a mark [n] of the answer stands for


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationsAdded:
    """Of the turn's answer so far; `index` counts its characters."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListingStarted:
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListingFinished:
    """`error`: the server could not be asked; the model answers without it."""

    label: str
    tools: tuple[HostedTool, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """A server tool begins to run. `call`: the id that its Pieces have, or that of a Pending's request."""

    call: str
    label: str
    name: str  # as its server calls it
    arguments: str
    approval: str | None = None  # id of the request by which it was approved


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFinished:
    call: str
    label: str
    name: str
    arguments: str
    outcome: ToolOutcome
    approval: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """Wanted before this call runs; the answer ends here. `call` as in its Pieces."""

    call: str
    label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFinished:
    """tool_calls: the client has calls to run. approval: it has approvals to give. usage: of all turns together."""

    reason: Literal["stop", "length", "tool_calls", "approval"]
    usage: Usage
    reasoning_tokens: int = 0


FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class LoggedToken:
    token: TokenLogprob
    offset: int  # where in the sequence's text it begins, in characters


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """What was added to a tool call. Its first one has `begun`, its last one `done`; all `arguments` together are JSON text."""

    id: str  # call_...
    name: str  # as the model knows the tool
    server_label: str | None = None  # of the MCP server that runs it; None: the client does
    tool: str = ""  # as that server calls it
    arguments: str = ""
    begun: bool = False
    done: bool = False


@dataclass(slots=True)
class OutputDelta:
    """What one or more tokens added: thought, then answer, then calls. The last one of a sequence has `end`; it and the first have
    `usage`, as it is by then."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list[ToolCallDelta])
    logprobs: list[LoggedToken] = field(default_factory=list[LoggedToken])
    finish: FinishReason | None = None
    stop_string: str | None = None  # the stop string that ended it, if one did
    usage: Usage | None = None
    reasoning_tokens: int = 0  # in all, so far

    @property
    def empty(self) -> bool:
        return not (self.text or self.reasoning or self.tool_calls or self.logprobs or self.finish)


Event = (
    OutputDelta
    | SearchStarted
    | SearchFinished
    | CitationsAdded
    | ToolListingStarted
    | ToolListingFinished
    | ToolCallStarted
    | ToolCallFinished
    | ApprovalRequested
    | AnswerFinished
)
