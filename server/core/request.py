"""What a request wants of the model, in words that all APIs share: each API turns its own wire types into a Wish, and tells
what happens (server/core/events.py) in its own words again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.api import Grammar
from retrieval.api import Filter, Weights
from server.core.messages import Message, Tool, ToolCall, ToolChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How tokens are chosen. None: the default."""

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
    def requested(self) -> bool:
        """Whether the client has asked for it."""
        return bool(self.stores)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """What all say (None: nothing) of a tool must be true."""

    names: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()  # the names of those that are left out
    read_only: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """Which calls wait for an approval. `rest`: those that neither list names; "writes": all tools but those that only read."""

    default: Literal["always", "never", "writes"] = "writes"
    always: ToolFilter | None = None
    never: ToolFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpToolset:
    """Tools of one of the operator's MCP servers. `field`: where the request names it ("tools.1"). `about`: what the model is told of
    the server. `named`: the tools that the request names, and where; the server must have them."""

    server_label: str
    field: str
    allowed: ToolFilter | None = None  # None: all
    approval_policy: ApprovalPolicy = ApprovalPolicy()
    already_listed: bool = False  # the client has been told the list already
    description: str = ""
    named_tools: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecision:
    """A call that waited for an approval, and what has been decided. It runs before the model speaks again."""

    approval_id: str  # of the approval request
    server_label: str
    name: str  # as its server calls it
    arguments: str
    approved: bool
    field: str  # that names the request: "input.1.approval_request_id"
    reason: str | None = None
    request_field: str | None = None  # where this request has the approval request ("input.0"); None: it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolLimits:
    """Of one request's tool loop. After the last turn the model answers without tools."""

    max_turns: int = 10
    max_calls: int = 32
    max_parallel_calls: int = 8  # calls of one turn
    max_seconds: float = 120.0
    max_repeats: int = 3  # the same call so often ends the loop
    max_output_tokens: int = 2048  # of one call's output; the middle of a longer one is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """What the request's API calls the things that may be wrong."""

    messages: str = "messages"
    tools: str = "tools"
    parameters: str = "function.parameters"  # within one of the tools
    tool_choice: str = "tool_choice"
    response_format: str = "response_format"
    file_search: str = "tools.0"
    max_tokens: str = "max_completion_tokens"
    reasoning_effort: str = "reasoning_effort"


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    model: str | None
    messages: Sequence[Message]
    sampling: SamplingParams = SamplingParams()
    n: int = 1  # answers, each of its own
    stop: tuple[str, ...] = ()
    max_tokens: int | None = None  # tokens that the model may write, all turns together
    response_format: Grammar | None = None  # of the answer
    logprobs: int | None = None
    reasoning_effort: str | None = None
    template_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])  # chat_template_kwargs
    tools: tuple[Tool, ...] = ()  # that the client runs
    mcp_servers: tuple[McpToolset, ...] = ()  # whose tools we run
    file_search: FileSearch | None = None
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    approval_decisions: tuple[ApprovalDecision, ...] = ()
    earlier_calls: tuple[ToolCall, ...] = ()  # calls of this turn of the user's that ran in earlier requests: they count for the limits
    untrusted_context: bool = False  # what may not be trusted stands in the context, beside the results that the sayings hold
    limits: ToolLimits = ToolLimits()
    truncate: bool = False  # drop the oldest messages where the context is too small, instead of refusing
    field_names: FieldNames = FieldNames()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    owner: str  # hex SHA-256 of the key, or ""
