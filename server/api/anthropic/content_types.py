"""Wire types of messages and content blocks in requests."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.anthropic.document_types import DocumentBlock, ImageBlock, Part, SearchResultBlock, UnreadableBlock
from server.api.anthropic.text_types import CacheControl, Text, TextBlock
from server.api.common.unsupported import Refused
from server.http.fields import STRICT, Label

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class ThinkingBlock(BaseModel):
    """As an answer has it. `signature` is not read: whoever writes an assistant's text may write its thoughts."""

    model_config = STRICT
    type: Literal["thinking"]
    thinking: str
    signature: str = ""


class RedactedThinkingBlock(BaseModel):
    """Reasoning that only the server that made it can read. Left out of the prompt."""

    model_config = STRICT
    type: Literal["redacted_thinking"]
    data: str


class DirectCaller(BaseModel):
    model_config = STRICT
    type: Literal["direct"]


class ToolUseBlock(BaseModel):
    model_config = STRICT
    type: Literal["tool_use"]
    id: Id
    name: Label
    input: dict[str, Any]
    cache_control: CacheControl | None = None
    caller: DirectCaller | None = None
    toolset_name: Refused = None


class ToolResultBlock(BaseModel):
    model_config = STRICT
    type: Literal["tool_result"]
    tool_use_id: Id
    content: str | list[Annotated[Part, Field(discriminator="type")]] = ""
    is_error: bool | None = None
    cache_control: CacheControl | None = None
    toolset_name: Refused = None


class McpToolUseBlock(BaseModel):
    model_config = STRICT
    type: Literal["mcp_tool_use"]
    id: Id
    name: str
    server_name: str
    input: dict[str, Any]
    cache_control: CacheControl | None = None


class McpToolResultBlock(BaseModel):
    model_config = STRICT
    type: Literal["mcp_tool_result"]
    tool_use_id: Id
    content: Text = ""
    is_error: bool | None = None
    cache_control: CacheControl | None = None


UserBlock = Annotated[
    TextBlock | DocumentBlock | SearchResultBlock | ImageBlock | UnreadableBlock | ToolResultBlock, Field(discriminator="type")
]
AssistantBlock = Annotated[
    TextBlock | ThinkingBlock | RedactedThinkingBlock | ToolUseBlock | McpToolUseBlock | McpToolResultBlock,
    Field(discriminator="type"),
]


class UserMessage(BaseModel):
    model_config = STRICT
    role: Literal["user"]
    content: str | Annotated[list[UserBlock], Field(min_length=1)]


class AssistantMessage(BaseModel):
    """Takes an answer's content unchanged."""

    model_config = STRICT
    role: Literal["assistant"]
    content: str | list[AssistantBlock]


class SystemMessage(BaseModel):
    """Instructions that apply from here on."""

    model_config = STRICT
    role: Literal["system"]
    content: Text


Message = Annotated[UserMessage | AssistantMessage | SystemMessage, Field(discriminator="role")]
