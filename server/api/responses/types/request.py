"""What /v1/responses is asked."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints

from server.api.common.generation_types import FormatJsonObject, FormatText, Penalty, Probability, Repetition, Seed, Temperature
from server.api.common.types import Effort
from server.api.common.unsupported import UNSUPPORTED, Moderation, PromptCacheOptions, only
from server.api.responses.types.items import InputItem
from server.api.responses.types.tools import Tool, ToolChoice
from server.http.fields import STRICT, Label
from server.http.lists import QUERY, Id, Metadata, Number, Order

# the last five are of tools and content that this server has not: there is nothing to include
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


Summary = Literal["auto", "concise", "detailed"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]


class PromptTemplate(BaseModel):
    model_config = STRICT
    id: str
    version: str | None = None
    variables: dict[str, Any] | None = None


class ContextManagement(BaseModel):
    model_config = STRICT
    type: str
    compact_threshold: int | None = None


class JsonSchemaFormat(BaseModel):
    model_config = STRICT
    type: Literal["json_schema"]
    name: Label
    schema_: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None  # what no grammar can enforce is refused, else left out


class TextOptions(BaseModel):
    model_config = STRICT
    format: Annotated[FormatText | JsonSchemaFormat | FormatJsonObject, Field(discriminator="type")] | None = None
    verbosity: Annotated[Literal["low", "medium", "high"] | None, only("medium")] = None


class ReasoningOptions(BaseModel):
    """Thoughts are shown as they are; nobody sums them up. With `summary`, whose most detailed form they are, they stand there too,
    word for word, for clients that read nothing else; a concise one there is not. generate_summary: its older name."""

    model_config = STRICT
    effort: Effort | None = None
    summary: Annotated[Summary | None, only("auto", "detailed")] = None
    generate_summary: Annotated[Summary | None, UNSUPPORTED] = None
    context: Annotated[Literal["auto", "current_turn", "all_turns"] | None, only("auto")] = None
    mode: Annotated[str | None, only("standard")] = None


class ConversationId(BaseModel):
    model_config = STRICT
    id: Id


class StreamOptions(BaseModel):
    model_config = STRICT
    include_obfuscation: Annotated[bool | None, only(False)] = None


class ResponseRequest(BaseModel):
    model_config = STRICT
    model: str | None = None
    input: str | list[InputItem] | None = None
    instructions: str | None = None
    previous_response_id: Id | None = None
    conversation: Id | ConversationId | None = None
    tools: Annotated[list[Tool], Field(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tool_calls: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    max_output_tokens: Annotated[int, Field(ge=16, lt=2**31)] | None = None
    temperature: Temperature = None
    top_p: Probability = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Include] | None = None
    store: bool | None = None  # the default: wherever it can be
    background: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: Annotated[str, StringConstraints(max_length=64)] | None = None
    prompt_cache_key: str | None = None  # prefixes are cached for everybody, with or without it
    prompt_cache_retention: Annotated[Literal["in_memory", "24h"] | None, only("in_memory")] = None
    # fields of which only the value that asks for nothing is accepted
    service_tier: Annotated[ServiceTier | None, only("auto", "default")] = None
    prompt: Annotated[PromptTemplate | None, UNSUPPORTED] = None
    prompt_cache_options: Annotated[PromptCacheOptions | None, UNSUPPORTED] = None
    moderation: Annotated[Moderation | None, UNSUPPORTED] = None
    context_management: Annotated[list[ContextManagement] | None, UNSUPPORTED] = None
    # extensions
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    min_p: Probability = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    repetition_penalty: Repetition = None
    seed: Seed = None
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = None


class InputTokensRequest(BaseModel):
    """The fields of a request that its prompt depends on."""

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
    personality: Annotated[str | None, UNSUPPORTED] = None


def _several(given: Any) -> Any:
    return [given] if isinstance(given, str) else given


Included = Annotated[list[Include], BeforeValidator(_several), Field(max_length=16)]


class ResponseQuery(BaseModel):
    """`stream`: the events of a response in the background, from the one behind starting_after on."""

    model_config = QUERY
    include: Included | None = None
    stream: bool | None = None
    starting_after: Number | None = None
    include_obfuscation: Literal["false"] | None = None


class ItemsQuery(BaseModel):
    model_config = QUERY
    include: Included | None = None
    limit: Annotated[Number, Field(ge=1, le=100)] = 20
    order: Order = "desc"
    after: Id | None = None
