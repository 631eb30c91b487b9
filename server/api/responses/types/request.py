"""Wire types of requests to /v1/responses."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from server.api.common.generation_types import (
    FormatJsonObject,
    FormatText,
    SamplingFields,
)
from server.api.common.hints import CACHE_HINT, CACHED, OBFUSCATION_HINT, TIER_HINT, VERBOSITY_HINT, WHO
from server.api.common.types import ReasoningEffort
from server.api.common.unsupported import UNSUPPORTED, Moderation, PromptCacheOptions, supports_only
from server.api.responses.types.input_items import InputItem
from server.api.responses.types.tools import Tool, ToolChoice
from server.http.fields import STRICT, Label
from server.http.lists import QUERY, Id, Metadata, Order, QueryInt
from server.http.warnings import Hint

# the last five have no effect: they are about tools and content that this server does not have
Include = Literal[
    "file_search_call.results",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
]


IncludeName = Annotated[str, StringConstraints(min_length=1, max_length=128)]
SUMMARY_HINT = Hint("the reasoning is sent as it is, there are no concise summaries", silent=("auto", "detailed"))
SummaryMode = Literal["auto", "concise", "detailed"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]


class PromptTemplate(BaseModel):
    model_config = STRICT
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class ContextManagement(BaseModel):
    model_config = STRICT
    type: str
    compact_threshold: Annotated[int, Field(ge=1000, lt=2**31)] | None = None  # tokens; None: three quarters of the context


class JsonSchemaFormat(BaseModel):
    model_config = STRICT
    type: Literal["json_schema"]
    name: Label
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None  # true: a schema that the grammar cannot enforce is refused; else enforced in part


class TextOptions(BaseModel):
    model_config = STRICT
    format: Annotated[FormatText | JsonSchemaFormat | FormatJsonObject, Field(discriminator="type")] | None = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, VERBOSITY_HINT] = None


class ReasoningOptions(BaseModel):
    """Reasoning text is always sent. With `summary` it is also sent, unchanged, as the most detailed summary, for clients that read
    nothing else; there are no concise summaries. generate_summary: the older name of summary."""

    model_config = STRICT
    effort: ReasoningEffort | None = None
    summary: Annotated[SummaryMode | None, SUMMARY_HINT] = None
    generate_summary: Annotated[SummaryMode | None, Hint("it is the older name of summary, which has one")] = None
    context: Annotated[Literal["auto", "current_turn", "all_turns"] | None, Hint("the model's template decides", silent=("auto",))] = None
    mode: Annotated[str | None, supports_only("standard")] = None


class ConversationId(BaseModel):
    model_config = STRICT
    id: Id


class StreamOptions(BaseModel):
    model_config = STRICT
    include_obfuscation: Annotated[bool | None, OBFUSCATION_HINT] = None


class PromptFields(BaseModel):
    """What the prompt depends on."""

    model_config = STRICT
    model: str | None = None
    input: str | list[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: Id | None = None
    conversation: Id | ConversationId | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None


class ResponseRequest(SamplingFields, PromptFields):
    max_tool_calls: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    max_output_tokens: Annotated[int, Field(ge=16, lt=2**31)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Include | IncludeName] | None = None  # names that are not known have no effect
    store: bool | None = None  # null: true if the server has an archive
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None
    user: Annotated[str | None, WHO] = None
    client_metadata: Annotated[dict[str, Any] | None, WHO] = None
    safety_identifier: Annotated[Annotated[str, StringConstraints(max_length=64)] | None, WHO] = None
    prompt_cache_key: Annotated[str | None, CACHED] = None
    prompt_cache_retention: Annotated[Literal["in_memory", "in-memory", "24h"] | None, CACHE_HINT] = None
    service_tier: Annotated[ServiceTier | None, TIER_HINT] = None
    prompt: Annotated[PromptTemplate | None, UNSUPPORTED] = None
    prompt_cache_options: Annotated[PromptCacheOptions | None, CACHE_HINT] = None
    moderation: Annotated[Moderation | None, UNSUPPORTED] = None
    context_management: Annotated[list[ContextManagement], Field(max_length=16)] | None = None
    # extension
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = None


class InputTokensRequest(PromptFields):
    personality: Annotated[str | None, UNSUPPORTED] = None


def _to_list(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


IncludeQuery = Annotated[list[Include], BeforeValidator(_to_list), Field(max_length=16)]


class ResponseQuery(BaseModel):
    """`stream`: sends the events of a background response, beginning after number starting_after."""

    model_config = QUERY
    include: IncludeQuery | None = None
    stream: bool | None = None
    starting_after: QueryInt | None = None
    include_obfuscation: Literal["false"] | None = None


class ItemsQuery(BaseModel):
    model_config = QUERY
    include: IncludeQuery | None = None
    limit: Annotated[QueryInt, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Id | None = None
