"""Wire types of POST /v1/chat/completions."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.chat_completions.message_types import Message
from server.api.chat_completions.tool_types import (
    FunctionCall,
    FunctionName,
    McpApproval,
    McpApprovalRequest,
    McpCall,
    McpListTools,
    Tool,
    ToolCall,
    ToolChoice,
)
from server.api.chat_completions.unsupported_types import AudioOutput, FunctionDefinition, Prediction, WebSearchOptions
from server.api.common.generation_types import GenerationFields, SamplingFields, TokenCount
from server.api.common.hints import CACHE_HINT, CACHED, TIER_HINT, VERBOSITY_HINT, WHO
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.logprobs import PromptLogprobs
from server.api.common.thinking import ThinkingFields
from server.api.common.timings import Timings
from server.api.common.types import FileCitation, ServiceTier, TokenLogprob, Usage
from server.api.common.unsupported import UNSUPPORTED, Moderation, PromptCacheOptions, supports_only
from server.api.common.vllm_types import VllmFields
from server.http.fields import OMIT_NONE
from server.http.lists import Attributes, Metadata
from server.http.warnings import Hint, WarningObject


class ChatRequest(SamplingFields, GenerationFields, ThinkingFields, VllmFields, LlamaCppFields):
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: TokenCount = None
    max_tokens: TokenCount = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    metadata: Metadata | None = None
    safety_identifier: Annotated[Annotated[str, StringConstraints(max_length=64)] | None, WHO] = None
    prompt_cache_key: Annotated[str | None, CACHED] = None
    prompt_cache_retention: Annotated[Literal["in_memory", "in-memory", "24h"] | None, CACHE_HINT] = None
    store: bool | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None  # none: also turns off the search of the server's default store
    parallel_tool_calls: bool | None = None
    # fields of which only the default value is supported
    service_tier: Annotated[ServiceTier | None, TIER_HINT] = None
    modalities: Annotated[list[Literal["text", "audio"]] | None, supports_only(["text"])] = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, VERBOSITY_HINT] = None
    functions: Annotated[list[FunctionDefinition] | None, UNSUPPORTED] = None
    cache_salt: Annotated[str | None, UNSUPPORTED] = None  # prefixes are cached for each key apart
    function_call: Annotated[Literal["none", "auto"] | FunctionName | None, supports_only("none", "auto")] = None
    prompt_cache_options: Annotated[PromptCacheOptions | None, CACHE_HINT] = None
    web_search_options: Annotated[WebSearchOptions | None, UNSUPPORTED] = None
    audio: Annotated[AudioOutput | None, UNSUPPORTED] = None
    prediction: Annotated[Prediction | None, Hint("answers are generated without predicted text")] = None
    moderation: Annotated[Moderation | None, UNSUPPORTED] = None
    # extensions
    mcp_approvals: list[McpApproval] | None = None
    include: Annotated[list[Literal["file_search_call.results"]], Field(max_length=1)] | None = None
    continue_final_message: bool | None = None  # the last message is the beginning of the answer, which has only what follows
    add_generation_prompt: bool | None = None  # false: nothing says that the assistant's message begins
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = None


class ChoiceLogprobs(BaseModel):
    content: list[TokenLogprob] | None
    refusal: list[TokenLogprob] | None = None


class UrlCitationSpan(BaseModel):
    url: str
    title: str
    start_index: int
    end_index: int


class UrlCitation(BaseModel):
    """Part of the specification; this server cites files only."""

    type: Literal["url_citation"]
    url_citation: UrlCitationSpan


class AudioResponse(BaseModel):
    """Part of the specification; this server has no audio."""

    id: str
    data: str
    expires_at: int
    transcript: str


class ResponseMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: Annotated[str | None, OMIT_NONE] = None  # extensions
    reasoning: Annotated[str | None, OMIT_NONE] = None  # the same, as newer clients call it
    annotations: Sequence[UrlCitation | FileCitation] = ()
    audio: Annotated[AudioResponse | None, OMIT_NONE] = None
    function_call: Annotated[FunctionCall | None, OMIT_NONE] = None
    tool_calls: Annotated[list[ToolCall] | None, OMIT_NONE] = None
    mcp_calls: Annotated[list[McpCall] | None, OMIT_NONE] = None  # extensions
    mcp_approval_requests: Annotated[list[McpApprovalRequest] | None, OMIT_NONE] = None


class Choice(BaseModel):
    index: int
    message: ResponseMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length", "tool_calls"]
    token_ids: Annotated[list[int] | None, OMIT_NONE] = None  # extension


class FileSearchResult(BaseModel):
    file_id: str
    filename: str
    score: float
    text: str
    attributes: Attributes
    chunk_id: int
    vector_store_id: str
    page: int | None
    headings: list[str]
    start: int
    end: int
    start_seconds: float | None
    end_seconds: float | None
    picture: str | None
    url: str


class FileSearchCall(BaseModel):
    """A mark [n] in the answer cites `results[n - 1]`. null unless `include` has it."""

    queries: list[str]
    results: list[FileSearchResult] | None


class ModerationResult(BaseModel):
    """Part of the specification; this server has no moderation."""

    input: dict[str, Any]
    output: dict[str, Any]


class ChatResponse(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    metadata: dict[str, str] | None = None
    service_tier: ServiceTier | None = "default"
    system_fingerprint: Annotated[str | None, OMIT_NONE] = None
    moderation: Annotated[ModerationResult | None, OMIT_NONE] = None
    file_search_call: Annotated[FileSearchCall | None, OMIT_NONE] = None  # extension, where documents were searched
    prompt_logprobs: Annotated[PromptLogprobs | None, OMIT_NONE] = None  # extensions
    prompt_token_ids: Annotated[list[int] | None, OMIT_NONE] = None
    timings: Annotated[Timings | None, OMIT_NONE] = None
    mcp_list_tools: Annotated[list[McpListTools] | None, OMIT_NONE] = None
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None
