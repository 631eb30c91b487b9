"""What a request wants of the model, in words that all APIs share: each API turns its own wire types into a Wish, and tells
what happens (server/core/events.py) in its own words again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from engine.api import Grammar
from retrieval.api import Filter, Weights
from server.core.messages import Saying, Tool, ToolCall, ToolChoice


class Knobs(Protocol):
    """How tokens are chosen. None: the default. server/api/chat_completions/types.py's request has these fields itself."""

    @property
    def temperature(self) -> float | None: ...
    @property
    def top_p(self) -> float | None: ...
    @property
    def top_k(self) -> int | None: ...
    @property
    def min_p(self) -> float | None: ...
    @property
    def presence_penalty(self) -> float | None: ...
    @property
    def frequency_penalty(self) -> float | None: ...
    @property
    def repetition_penalty(self) -> float | None: ...
    @property
    def logit_bias(self) -> Mapping[str, float] | None: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def ignore_eos(self) -> bool | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Implements Knobs."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: Mapping[str, float] | None = None
    seed: int | None = None
    ignore_eos: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSearch:
    """The answer is to come from these vector stores. `stores` (): the server's default store."""

    stores: tuple[str, ...]  # ids
    limit: int | None = None
    filter: Filter | None = None
    threshold: float | None = None  # None: the server decides what is relevant
    weights: Weights | None = None
    rerank: bool = True

    @property
    def named(self) -> bool:
        """Whether the client has asked for it."""
        return bool(self.stores)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """What all say (None: nothing) of a tool must be true."""

    names: frozenset[str] | None = None
    but: frozenset[str] = frozenset()  # the names of those that are left out
    read_only: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Which calls wait for an approval. `rest`: those that neither list names; "writes": all tools but those that only read."""

    rest: Literal["always", "never", "writes"] = "writes"
    always: ToolFilter | None = None
    never: ToolFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpTools:
    """Tools of one of the operator's MCP servers. `field`: where the request names it ("tools.1"). `about`: what the model is told of
    the server. `named`: the tools that the request names, and where; the server must have them."""

    label: str
    field: str
    allowed: ToolFilter | None = None  # None: all
    policy: Policy = Policy()
    listed: bool = False  # the client has been told the list already
    about: str = ""
    named: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A call that waited for an approval, and what has been decided. It runs before the model speaks again."""

    request_id: str  # of the approval request
    label: str
    name: str  # as its server calls it
    arguments: str
    approved: bool
    field: str  # that names the request: "input.1.approval_request_id"
    reason: str | None = None
    place: str | None = None  # where this request has the approval request ("input.0"); None: it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one request's tool loop. After the last turn the model answers without tools."""

    turns: int = 10
    calls: int = 32
    parallel: int = 8  # calls of one turn
    seconds: float = 120.0
    same: int = 3  # the same call so often ends the loop
    output_tokens: int = 2048  # of one call's output; the middle of a longer one is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What the request's API calls the things that may be wrong."""

    messages: str = "messages"
    tools: str = "tools"
    parameters: str = "function.parameters"  # within one of the tools
    tool_choice: str = "tool_choice"
    form: str = "response_format"
    search: str = "tools.0"
    limit: str = "max_completion_tokens"
    effort: str = "reasoning_effort"


@dataclass(frozen=True, kw_only=True)
class Wish:
    model: str | None
    sayings: Sequence[Saying]
    knobs: Knobs = Options()
    count: int = 1  # answers, each of its own
    stops: tuple[str, ...] = ()
    limit: int | None = None  # tokens that the model may write, all turns together
    form: Grammar | None = None  # of the answer
    logprobs: int | None = None
    effort: str | None = None
    template: Mapping[str, Any] = field(default_factory=dict[str, Any])  # chat_template_kwargs
    tools: tuple[Tool, ...] = ()  # that the client runs
    servers: tuple[McpTools, ...] = ()  # whose tools we run
    search: FileSearch | None = None
    choice: ToolChoice = "auto"
    parallel: bool = True
    pending: tuple[Pending, ...] = ()
    earlier: tuple[ToolCall, ...] = ()  # calls of this turn of the user's that ran in earlier requests: they count for the limits
    read: bool = False  # what may not be trusted stands in the context, beside the results that the sayings hold
    limits: Limits = Limits()
    truncate: bool = False  # drop the oldest messages where the context is too small, instead of refusing
    fields: Fields = Fields()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    owner: str  # hex SHA-256 of the key, or ""
