"""What /v1/responses answers."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.generation_types import FormatJsonObject, FormatText
from server.api.common.tool_types import Connector, FileSearchChoice
from server.api.common.types import Effort
from server.api.responses.types.other_tools import Callers
from server.api.responses.types.output import OutputItem
from server.api.responses.types.request import PromptTemplate, Summary
from server.api.responses.types.tools import FunctionChoice, Mode, Schema
from server.http.fields import OMITTED

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


class Failure(BaseModel):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens"]


class ConversationRef(BaseModel):
    id: str


class ShownFunction(BaseModel):
    type: Literal["function"] = "function"
    name: str
    description: str | None
    parameters: Schema | None
    strict: bool
    output_schema: Annotated[Schema | None, OMITTED] = None
    defer_loading: Annotated[bool | None, OMITTED] = None
    allowed_callers: Annotated[Callers, OMITTED] = None


class ShownFileSearch(BaseModel):
    type: Literal["file_search"] = "file_search"
    vector_store_ids: list[str]
    max_num_results: Annotated[int | None, OMITTED] = None
    ranking_options: Annotated[dict[str, Any] | None, OMITTED] = None
    filters: Annotated[dict[str, Any] | None, OMITTED] = None


class ShownNames(BaseModel):
    tool_names: Annotated[list[str] | None, OMITTED] = None
    read_only: Annotated[bool | None, OMITTED] = None


class ShownApprovals(BaseModel):
    always: Annotated[ShownNames | None, OMITTED] = None
    never: Annotated[ShownNames | None, OMITTED] = None


class ShownMcp(BaseModel):
    type: Literal["mcp"] = "mcp"
    server_label: str
    server_description: Annotated[str | None, OMITTED] = None
    allowed_tools: Annotated[list[str] | ShownNames | None, OMITTED] = None
    require_approval: Annotated[Literal["always", "never"] | ShownApprovals | None, OMITTED] = None
    server_url: Annotated[str | None, OMITTED] = None
    connector_id: Annotated[Connector | None, OMITTED] = None
    tunnel_id: Annotated[str | None, OMITTED] = None
    authorization: Annotated[str | None, OMITTED] = None
    headers: Annotated[dict[str, str] | None, OMITTED] = None
    allowed_callers: Annotated[Callers, OMITTED] = None
    defer_loading: Annotated[bool | None, OMITTED] = None


class ShownMcpChoice(BaseModel):
    type: Literal["mcp"] = "mcp"
    server_label: str
    name: Annotated[str | None, OMITTED] = None


class ShownAllowed(BaseModel):
    type: Literal["allowed_tools"] = "allowed_tools"
    mode: Literal["auto", "required"]
    tools: list[dict[str, Any]]


class ShownSchema(BaseModel):
    type: Literal["json_schema"] = "json_schema"
    name: str
    schema_: Schema = Field(alias="schema")
    description: Annotated[str | None, OMITTED] = None
    strict: Annotated[bool | None, OMITTED] = None


class ShownText(BaseModel):
    format: Annotated[FormatText | ShownSchema | FormatJsonObject, Field(discriminator="type")]
    verbosity: Literal["medium"]


class ShownReasoning(BaseModel):
    effort: Effort | None
    summary: Summary | None
    mode: Annotated[str | None, OMITTED] = None
    context: Annotated[Literal["auto", "current_turn", "all_turns"] | None, OMITTED] = None
    generate_summary: Annotated[Summary | None, OMITTED] = None


ShownTool = Annotated[ShownFunction | ShownFileSearch | ShownMcp, Field(discriminator="type")]
ShownChoice = Mode | Annotated[ShownAllowed | FunctionChoice | FileSearchChoice | ShownMcpChoice, Field(discriminator="type")]


class PromptCaching(BaseModel):
    ttl: Literal["30m"]
    mode: Literal["implicit", "explicit"]


class Moderated(BaseModel):
    input: Schema
    output: Schema


class Response(BaseModel):
    id: str
    object: Literal["response"] = "response"
    created_at: int
    completed_at: int | None
    status: ResponseStatus
    background: bool
    error: Failure | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    conversation: ConversationRef | None
    tools: list[ShownTool]
    tool_choice: ShownChoice
    text: ShownText
    reasoning: ShownReasoning
    truncation: Literal["auto", "disabled"]
    max_output_tokens: int | None
    max_tool_calls: int | None
    temperature: float
    top_p: float
    top_logprobs: int
    store: bool  # extension
    metadata: dict[str, str]
    service_tier: Literal["default"]
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: Literal["in_memory"] | None
    user: Annotated[str | None, OMITTED] = None
    usage: Annotated[Usage | None, OMITTED] = None  # once it is known
    # never there, whatever the specification has
    output_text: Annotated[str | None, OMITTED] = None
    prompt: Annotated[PromptTemplate | None, OMITTED] = None
    prompt_cache_options: Annotated[PromptCaching | None, OMITTED] = None
    moderation: Annotated[Moderated | None, OMITTED] = None


class ResponseDeleted(BaseModel):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


class InputTokens(BaseModel):
    object: Literal["response.input_tokens"] = "response.input_tokens"
    input_tokens: int
