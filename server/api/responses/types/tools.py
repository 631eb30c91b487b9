"""Wire types of tools and tool choices."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.api.common.unsupported import UNSUPPORTED, supports_only
from server.api.responses.types.unsupported import UnsupportedVariants
from server.api.responses.types.unsupported_tools import UNSUPPORTED_TOOL_CHOICES, UNSUPPORTED_TOOLS, AllowedCallers
from server.http.fields import STRICT, Label

Schema = dict[str, Any]


class FunctionTool(BaseModel):
    """A function that the client runs. The grammar makes arguments fit `parameters`; schemas that it cannot enforce are refused if
    `strict`, else enforced in part. `strict` null means false (with OpenAI: true if the schema allows it)."""

    model_config = STRICT
    type: Literal["function"]
    name: Label
    parameters: Schema | None = None
    strict: bool | None = None
    description: str | None = None
    output_schema: Annotated[Schema | None, UNSUPPORTED] = None
    defer_loading: Annotated[bool | None, supports_only(False)] = None
    allowed_callers: Annotated[AllowedCallers, UNSUPPORTED] = None


Tool = Annotated[FunctionTool | FileSearchTool | McpTool, Field(discriminator="type"), UnsupportedVariants("tools", UNSUPPORTED_TOOLS)]


class FunctionChoice(BaseModel):
    model_config = STRICT
    type: Literal["function"]
    name: str


ToolReference = Annotated[FunctionChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]


class AllowedTools(BaseModel):
    model_config = STRICT
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], Field(min_length=1, max_length=128)]


ToolChoiceMode = Literal["none", "auto", "required"]
ToolChoiceObject = Annotated[AllowedTools | FunctionChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]
ToolChoice = Annotated[ToolChoiceMode | ToolChoiceObject, UnsupportedVariants("tools", UNSUPPORTED_TOOL_CHOICES)]
