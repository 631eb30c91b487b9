"""Wire types of tools and tool choices."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from server.api.common.tool_types import FileSearchChoice, FileSearchTool, McpChoice, McpTool
from server.api.common.unsupported import supports_only
from server.api.responses.types.unsupported import UnsupportedVariants, kind_of, type_values
from server.api.responses.types.unsupported_tools import (
    HOSTED_TOOLS,
    UNSUPPORTED_TOOL_CHOICES,
    AllowedCallers,
    CustomGrammarFormat,
    CustomTextFormat,
)
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
    output_schema: Schema | None = None  # no effect: outputs are not checked
    defer_loading: bool | None = None  # no effect: the model is shown all tools
    allowed_callers: Annotated[AllowedCallers, supports_only(["direct"], [])] = None


class CustomTool(BaseModel):
    """A tool that the client runs on one text. A grammar in `format` is not enforced."""

    model_config = STRICT
    type: Literal["custom"]
    name: Label
    description: str | None = None
    format: Annotated[CustomTextFormat | CustomGrammarFormat, Field(discriminator="type")] | None = None
    defer_loading: bool | None = None  # no effect: the model is shown all tools
    allowed_callers: Annotated[AllowedCallers, supports_only(["direct"], [])] = None


class NamespaceTool(BaseModel):
    """Tools that belong together. The model knows them as NAMESPACE__NAME."""

    model_config = STRICT
    type: Literal["namespace"]
    name: Label
    description: str | None = None
    tools: Annotated[list[Annotated[FunctionTool | CustomTool, Field(discriminator="type")]], Field(max_length=128)]


class HostedTool(BaseModel):
    """A tool that OpenAI runs, or that only its own models know. Left out, with a warning, where there are other tools."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: str

    def known_fields(self) -> dict[str, Any]:
        """Those that the specification has."""
        names = {name for model in HOSTED_TOOLS if self.type in type_values(model) for name in model.model_fields}
        return {name: value for name, value in self.model_dump(exclude_none=True).items() if name in names}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(model.__pydantic_core_schema__) for model in HOSTED_TOOLS]}


def _tool_tag(given: Any) -> str:
    kind = kind_of(given)
    return "hosted" if kind in HOSTED_TYPES else kind


HOSTED_TYPES = frozenset(kind for model in HOSTED_TOOLS for kind in type_values(model))
Tool = Annotated[
    Annotated[FunctionTool, Tag("function")]
    | Annotated[CustomTool, Tag("custom")]
    | Annotated[NamespaceTool, Tag("namespace")]
    | Annotated[FileSearchTool, Tag("file_search")]
    | Annotated[McpTool, Tag("mcp")]
    | Annotated[HostedTool, Tag("hosted")],
    Discriminator(_tool_tag, custom_error_type="unknown_type", custom_error_message="There are no tools of this type"),
]


class FunctionChoice(BaseModel):
    model_config = STRICT
    type: Literal["function"]
    name: str


class CustomChoice(BaseModel):
    model_config = STRICT
    type: Literal["custom"]
    name: str


ToolReference = Annotated[FunctionChoice | CustomChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]


class AllowedTools(BaseModel):
    model_config = STRICT
    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: Annotated[list[ToolReference], Field(min_length=1, max_length=128)]


ToolChoiceMode = Literal["none", "auto", "required"]
ToolChoiceObject = Annotated[AllowedTools | FunctionChoice | CustomChoice | FileSearchChoice | McpChoice, Field(discriminator="type")]
ToolChoice = Annotated[ToolChoiceMode | ToolChoiceObject, UnsupportedVariants("tools", UNSUPPORTED_TOOL_CHOICES)]
