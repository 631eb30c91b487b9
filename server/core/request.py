"""The request of the chat loop. Each API maps its wire types to a GenerationRequest, and the loop's events
(server/core/events.py) back to its wire types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from engine.api import Denoising, Grammar
from retrieval.api import Filter, Weights
from server.core.messages import Message, PromptEnd, Tool, ToolCall, ToolChoice
from server.core.tool_limits import ToolLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class BeamParams:
    """A search of beams (`engine.api.Beams`). None: as the model's checkpoint says."""

    width: int | None = None  # 1: none
    length_penalty: float | None = None
    until: Literal["full", "likely", "certain"] | None = None

    @property
    def needs_width(self) -> str | None:
        """The field that says something of beams beside their width."""
        if self.length_penalty not in (None, 1.0):
            return "length_penalty"
        return "early_stopping" if self.until not in (None, "likely") else None


NO_BEAMS = BeamParams()


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen. None: the model's default (server/text/sampling_defaults.py)."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: tuple[tuple[int | str, float], ...] = ()  # of a token's number, or of all tokens of a text
    seed: int | None = None
    ignore_eos: bool | None = None
    min_tokens: int | None = None  # before the answer may end
    stop_token_ids: tuple[int, ...] = ()  # they end the answer, besides the model's own
    bad_words: tuple[str, ...] = ()  # texts that the answer must not contain
    beams: BeamParams = NO_BEAMS
    priority: int | None = None  # a higher one runs later
    denoising: Denoising | None = None  # of a model that denoises
    speculative: bool = True  # False: no tokens are guessed ahead

    @property
    def rank(self) -> int:
        """The priority for the engine: a request may let others pass, and never passes them."""
        return max(self.priority or 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """What of the generated text is sent."""

    stop: tuple[str, ...] = ()  # the text ends before the first of them
    include_stop: bool = False  # it ends behind that one
    show_special_tokens: bool = False
    show_reasoning: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSearch:
    """Vector stores to ground the answer in. `stores` (): the server's default store."""

    stores: tuple[str, ...]  # ids
    limit: int | None = None
    filter: Filter | None = None
    threshold: float | None = None  # None: the server decides what is relevant
    weights: Weights | None = None
    rerank: bool = True

    @property
    def requested(self) -> bool:
        """Whether the client asked for it, rather than the server's default store."""
        return bool(self.stores)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFilter:
    """A tool passes when every condition that is set (not None) holds."""

    names: frozenset[str] | None = None
    excluded: frozenset[str] = frozenset()  # names
    read_only: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalPolicy:
    """Which calls need the user's approval. `default`: for tools that neither filter matches; "writes": all but read-only tools."""

    default: Literal["always", "never", "writes"] = "writes"
    always: ToolFilter | None = None
    never: ToolFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpToolset:
    """Tools of one of the operator's MCP servers. `field`: the request's field that names it ("tools.1"). `description`: of the
    server, for the model. `named_tools`: (name, request field) of each tool that the request names; the server must have them."""

    server_label: str
    field: str
    allowed: ToolFilter | None = None  # None: all
    approval_policy: ApprovalPolicy = ApprovalPolicy()
    already_listed: bool = False  # the client has the tool list from an earlier response
    description: str = ""
    named_tools: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalDecision:
    """The user's decision on a call that needed approval. Approved calls run before the next turn of the model."""

    approval_id: str  # of the approval request
    server_label: str
    name: str  # as its server calls it
    arguments: str
    approved: bool
    field: str  # that names the approval: "input.1.approval_request_id"
    reason: str | None = None
    request_field: str | None = None  # that repeats the approval request ("input.0"); None: it is stored


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNames:
    """Names of the fields in the request's API, for error messages."""

    messages: str = "messages"
    tools: str = "tools"
    parameters: str = "function.parameters"  # within one of the tools
    tool_choice: str = "tool_choice"
    response_format: str = "response_format"
    file_search: str = "tools.0"
    max_tokens: str = "max_completion_tokens"
    reasoning_effort: str = "reasoning_effort"
    thinking_budget: str = "thinking_token_budget"
    prompt_end: str = "continue_final_message"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestWarning:
    """Names a field of the request that was taken and had no effect."""

    param: str
    message: str


@dataclass(frozen=True, kw_only=True)
class GenerationRequest:
    """What to generate, from what, with which tools, whatever API asked."""

    model: str | None
    messages: Sequence[Message]
    sampling: SamplingParams = SamplingParams()
    n: int = 1  # answers, generated independently
    output: OutputOptions = OutputOptions()
    max_tokens: int | None = None  # generated tokens of one answer, over all turns
    response_format: Grammar | None = None  # of the answer
    logprobs: int | None = None
    prompt_logprobs: int | None = None  # of the first turn
    reasoning_effort: str | None = None  # one of OpenAI's, or "on": however much the model likes
    thinking_budget: int | None = None  # tokens of thoughts in one turn; -1: no limit
    template_kwargs: Mapping[str, Any] = field(default_factory=dict[str, Any])  # chat_template_kwargs
    tools: tuple[Tool, ...] = ()  # run by the client
    mcp_servers: tuple[McpToolset, ...] = ()  # tools run by this server
    file_search: FileSearch | None = None
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool = True
    approval_decisions: tuple[ApprovalDecision, ...] = ()
    earlier_calls: tuple[ToolCall, ...] = ()  # already run for the same user message: they count for the limits
    untrusted_context: bool = False  # besides tool results among `messages`
    limits: ToolLimits | None = None  # tighter than the server's; None: the server's
    prompt_end: PromptEnd = "answer"
    truncate: bool = False  # drop the oldest messages where the context is too small, instead of refusing
    max_prompt_tokens: int | None = None  # of a turn
    warnings: tuple[RequestWarning, ...] = ()  # for the client
    field_names: FieldNames = FieldNames()


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    owner: str  # hex SHA-256 of the key, or ""
