"""Wire types of tools in chat completions: definitions, choices, calls and results."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.chat_completions.unsupported_types import CustomChoice, CustomTool
from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool, ServerLabel
from server.core.messages import Json
from server.http.fields import OMIT_NONE, STRICT, Label

CallId = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Arguments = Annotated[str, StringConstraints(max_length=64 * 1024)]  # JSON text; the server reads it before it calls a tool


class Function(BaseModel):
    """Without `parameters` it takes no arguments. Arguments follow the schema; a schema that no grammar can enforce fully is refused if
    `strict`, else the client must check the rest."""

    model_config = STRICT
    name: Label
    description: str | None = None
    parameters: Json | None = None
    strict: bool | None = None


class FunctionTool(BaseModel):
    """The client runs it."""

    model_config = STRICT
    type: Literal["function"]
    function: Function


Tool = Annotated[FunctionTool | FileSearchTool | McpTool | CustomTool, Field(discriminator="type")]


class FunctionName(BaseModel):
    model_config = STRICT
    name: str


class FunctionChoice(BaseModel):
    model_config = STRICT
    type: Literal["function"]
    function: FunctionName


Allowed = Annotated[FunctionChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]


class AllowedTools(BaseModel):
    model_config = STRICT
    mode: Literal["auto", "required"]
    tools: Annotated[list[Allowed], Field(min_length=1, max_length=128)]


class AllowedToolsChoice(BaseModel):
    """The model may call these only; the other tools are ignored."""

    model_config = STRICT
    type: Literal["allowed_tools"]
    allowed_tools: AllowedTools


NamedChoice = Annotated[FunctionChoice | AllowedToolsChoice | FileSearchChoice | McpChoice | CustomChoice, Field(discriminator="type")]
ToolChoice = Literal["none", "auto", "required"] | NamedChoice


class FunctionCall(BaseModel):
    model_config = STRICT
    name: str
    arguments: str  # JSON text of an object; an earlier call may have any text
    parsed_arguments: Annotated[Any, OMIT_NONE] = None  # set by OpenAI's client; not read


class ToolCall(BaseModel):
    model_config = STRICT
    id: CallId
    type: Literal["function"] = "function"
    function: FunctionCall
    index: Annotated[int | None, OMIT_NONE] = None  # of a stream's delta, sent back


class McpError(BaseModel):
    model_config = STRICT
    type: str  # execution: the tool failed; protocol, http, timeout, unavailable: the call did not complete
    message: str
    code: int | None = None


class McpCall(BaseModel):
    """Extension: a call that the server ran. Of `output` and `error` one is null."""

    model_config = STRICT
    id: CallId
    server_label: ServerLabel
    name: str
    arguments: Arguments
    output: str | None = None
    error: McpError | None = None
    approval_request_id: str | None = None


class McpApprovalRequest(BaseModel):
    """Extension: a call that waits for an answer in the next request's mcp_approvals."""

    model_config = STRICT
    id: CallId
    server_label: ServerLabel
    name: str
    arguments: Arguments


class McpApproval(BaseModel):
    """Extension."""

    model_config = STRICT
    approval_request_id: CallId
    approve: bool
    reason: Annotated[str, StringConstraints(max_length=4096)] | None = None


class ListedTool(BaseModel):
    name: str
    description: str
    input_schema: Json
    annotations: Json | None = None


class McpListTools(BaseModel):
    """Extension. `error`: why the tools could not be listed; the answer was generated without them."""

    server_label: str
    tools: list[ListedTool]
    error: str | None = None
