"""Wire types of responses of /v1/responses."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.generation_types import FormatJsonObject, FormatText
from server.api.common.tool_types import Connector, FileSearchChoice
from server.api.common.types import ReasoningEffort
from server.api.responses.types.output_items import OutputItem
from server.api.responses.types.request import PromptTemplate, SummaryMode
from server.api.responses.types.tools import CustomChoice, CustomTool, FunctionChoice, HostedTool, NamespaceTool, Schema, ToolChoiceMode
from server.api.responses.types.unsupported_tools import AllowedCallers
from server.http.fields import OMIT_NONE
from server.http.warnings import WarningObject

ResponseStatus = Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]


class InputDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int


class OutputDetails(BaseModel):
    reasoning_tokens: int


class Usage(BaseModel):
    input_tokens: int
    input_tokens_details: InputDetails
    output_tokens: int
    output_tokens_details: OutputDetails
    total_tokens: int


class ResponseError(BaseModel):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens"]


class ConversationRef(BaseModel):
    id: str


class FunctionToolInfo(BaseModel):
    type: Literal["function"] = "function"
    name: str
    description: str | None
    parameters: Schema | None
    strict: bool
    output_schema: Annotated[Schema | None, OMIT_NONE] = None
    defer_loading: Annotated[bool | None, OMIT_NONE] = None
    allowed_callers: Annotated[AllowedCallers, OMIT_NONE] = None


class FileSearchToolInfo(BaseModel):
    type: Literal["file_search"] = "file_search"
    vector_store_ids: list[str]
    max_num_results: Annotated[int | None, OMIT_NONE] = None
    ranking_options: Annotated[dict[str, Any] | None, OMIT_NONE] = None
    filters: Annotated[dict[str, Any] | None, OMIT_NONE] = None


class ToolNamesInfo(BaseModel):
    tool_names: Annotated[list[str] | None, OMIT_NONE] = None
    read_only: Annotated[bool | None, OMIT_NONE] = None


class RequireApprovalInfo(BaseModel):
    always: Annotated[ToolNamesInfo | None, OMIT_NONE] = None
    never: Annotated[ToolNamesInfo | None, OMIT_NONE] = None


class McpToolInfo(BaseModel):
    type: Literal["mcp"] = "mcp"
    server_label: str
    server_description: Annotated[str | None, OMIT_NONE] = None
    allowed_tools: Annotated[list[str] | ToolNamesInfo | None, OMIT_NONE] = None
    require_approval: Annotated[Literal["always", "never"] | RequireApprovalInfo | None, OMIT_NONE] = None
    server_url: Annotated[str | None, OMIT_NONE] = None
    connector_id: Annotated[Connector | None, OMIT_NONE] = None
    tunnel_id: Annotated[str | None, OMIT_NONE] = None
    authorization: Annotated[str | None, OMIT_NONE] = None
    headers: Annotated[dict[str, str] | None, OMIT_NONE] = None
    allowed_callers: Annotated[AllowedCallers, OMIT_NONE] = None
    defer_loading: Annotated[bool | None, OMIT_NONE] = None


class McpChoiceInfo(BaseModel):
    type: Literal["mcp"] = "mcp"
    server_label: str
    name: Annotated[str | None, OMIT_NONE] = None


class AllowedToolsInfo(BaseModel):
    type: Literal["allowed_tools"] = "allowed_tools"
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class JsonSchemaFormatInfo(BaseModel):
    type: Literal["json_schema"] = "json_schema"
    name: str
    schema_: Schema = Field(alias="schema")
    description: Annotated[str | None, OMIT_NONE] = None
    strict: Annotated[bool | None, OMIT_NONE] = None


class TextOptionsInfo(BaseModel):
    format: Annotated[FormatText | JsonSchemaFormatInfo | FormatJsonObject, Field(discriminator="type")]
    verbosity: Literal["medium"]


class ReasoningOptionsInfo(BaseModel):
    effort: ReasoningEffort | None
    summary: SummaryMode | None
    mode: Annotated[str | None, OMIT_NONE] = None
    context: Annotated[Literal["auto", "current_turn", "all_turns"] | None, OMIT_NONE] = None
    generate_summary: Annotated[SummaryMode | None, OMIT_NONE] = None


ToolInfo = (
    Annotated[FunctionToolInfo | FileSearchToolInfo | McpToolInfo, Field(discriminator="type")] | CustomTool | NamespaceTool | HostedTool
)
ToolChoiceInfo = (
    ToolChoiceMode
    | Annotated[AllowedToolsInfo | FunctionChoice | CustomChoice | FileSearchChoice | McpChoiceInfo, Field(discriminator="type")]
)


class PromptCacheOptionsInfo(BaseModel):
    ttl: Literal["30m"]
    mode: Literal["implicit", "explicit"]


class ModerationResult(BaseModel):
    input: Schema
    output: Schema


class Response(BaseModel):
    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: ResponseStatus
    background: bool
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    conversation: ConversationRef | None
    tools: list[ToolInfo]
    tool_choice: ToolChoiceInfo
    text: TextOptionsInfo
    reasoning: ReasoningOptionsInfo
    truncation: Literal["auto", "disabled"]
    max_output_tokens: int | None
    max_tool_calls: int | None
    temperature: float
    top_p: float
    top_logprobs: int
    presence_penalty: float
    frequency_penalty: float
    store: bool  # extension
    metadata: dict[str, str]
    service_tier: Literal["default"]
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: Literal["in_memory", "24h"] | None
    user: Annotated[str | None, OMIT_NONE] = None
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None  # extension
    usage: Usage | None  # null until the response is finished
    # always left out; the specification has them
    output_text: Annotated[str | None, OMIT_NONE] = None
    prompt: Annotated[PromptTemplate | None, OMIT_NONE] = None
    prompt_cache_options: Annotated[PromptCacheOptionsInfo | None, OMIT_NONE] = None
    moderation: Annotated[ModerationResult | None, OMIT_NONE] = None


class ResponseDeleted(BaseModel):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class InputTokens(BaseModel):
    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
