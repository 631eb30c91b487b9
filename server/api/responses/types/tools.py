"""Tools of /v1/responses, and which of them the model is to use."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.api.common.unsupported import UNSUPPORTED, only
from server.api.responses.types.other import Beside
from server.api.responses.types.other_tools import CHOICES, TOOLS, Callers
from server.http.fields import STRICT, Label

Schema = dict[str, Any]


class FunctionTool(BaseModel):
    """The client runs it. Arguments fit `parameters`; what no grammar can enforce is refused where it is `strict`, else left to the
    client. Without `strict` it is false, and shown so; OpenAI makes it true there, where the schema can be made to fit."""

    model_config = STRICT
    type: Literal["function"]
    name: Label
    parameters: Schema | None = None
    strict: bool | None = None
    description: str | None = None
    output_schema: Annotated[Schema | None, UNSUPPORTED] = None
    defer_loading: Annotated[bool | None, only(False)] = None
    allowed_callers: Annotated[Callers, UNSUPPORTED] = None


Tool = Annotated[FunctionTool | FileSearchTool | McpTool, Field(discriminator="type"), Beside("tools", TOOLS)]


class FunctionChoice(BaseModel):
    model_config = STRICT
    type: Literal["function"]
    name: str


Chosen = Annotated[FunctionChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]


class AllowedTools(BaseModel):
    model_config = STRICT
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[Chosen], Field(min_length=1, max_length=128)]


Mode = Literal["none", "auto", "required"]
Choice = Annotated[AllowedTools | FunctionChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]
ToolChoice = Annotated[Mode | Choice, Beside("tools", CHOICES)]
