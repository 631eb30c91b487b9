"""Events of the chat loop, in the order in which they happen. Each API maps them to its own wire types.

A turn of the model is a sequence of OutputDeltas; the last has `finish` and `usage`. Server tools run between turns. AnswerFinished
comes last, once for each of the request's answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from engine.api import TokenLogprob, Usage
from retrieval.api import Hit
from retrieval.citations.cite import Citation
from server.core.tool_host import HostedTool, ToolOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStarted:
    """Of the documents, before the first turn."""

    queries: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFinished:
    queries: tuple[str, ...]
    hits: tuple[Hit, ...]  # a mark [n] in the answer cites hits[n - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class CitationsAdded:
    """`index` of a citation: characters of this turn's text before it."""

    citations: Sequence[Citation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListingStarted:
    server_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolListingFinished:
    """`error`: why the server could not be asked; the model answers without its tools."""

    server_label: str
    tools: tuple[HostedTool, ...] = ()
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallStarted:
    """A server tool begins to run. `call_id`: as in its ToolCallDeltas, or the id of the approval by which it runs."""

    call_id: str
    server_label: str
    name: str  # as its server calls it
    arguments: str
    approval_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallFinished:
    call_id: str
    server_label: str
    name: str
    arguments: str
    outcome: ToolOutcome
    approval_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """The user must approve this call; the answer ends here. `call_id`: as in its ToolCallDeltas."""

    call_id: str
    server_label: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerFinished:
    """`reason`: "tool_calls": the client has calls to run; "approval": it has decisions to make; "length": the tokens ran out, or the
    server ended the answer, as it repeated itself. `usage`: of all turns together. `context_full`: with "length": no more tokens fit
    the context."""

    reason: Literal["stop", "length", "tool_calls", "approval"]
    usage: Usage
    reasoning_tokens: int = 0
    context_full: bool = False


FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class LoggedToken:
    """A generated token with its log probability."""

    token: TokenLogprob
    offset: int  # of its first character in the generated text


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """An addition to a tool call. The first has `begun`, the last `done`; the `arguments` of all, joined, are JSON text. `cut`: with
    `done`, the server has ended the call."""

    id: str  # call_...
    name: str  # as the model knows the tool
    server_label: str | None = None  # of the MCP server that runs it; None: the client runs it
    tool: str = ""  # as that server calls it
    arguments: str = ""
    begun: bool = False
    done: bool = False
    cut: bool = False


@dataclass(slots=True)
class OutputDelta:
    """What one or more tokens added: reasoning, then text, then tool calls. The last of a turn has `finish`; it and the first have the
    `usage` so far."""

    text: str = ""
    reasoning: str = ""
    tool_calls: list[ToolCallDelta] = field(default_factory=list[ToolCallDelta])
    logprobs: list[LoggedToken] = field(default_factory=list[LoggedToken])
    prompt_logprobs: tuple[TokenLogprob, ...] = ()  # in the first of a turn
    tokens: list[int] = field(default_factory=list[int])  # generated since the output before, also those without text
    finish: FinishReason | None = None
    stop_string: str | None = None  # that ended it
    usage: Usage | None = None
    reasoning_tokens: int = 0  # of the turn so far

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
