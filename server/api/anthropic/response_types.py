"""Wire types of responses of /v1/messages. The content blocks themselves are made in events.py."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.anthropic.text_types import Citation
from server.http.fields import OMIT_NONE
from server.http.warnings import WarningObject

StopReason = Literal["end_turn", "max_tokens", "stop_sequence", "tool_use", "model_context_window_exceeded"]


class Text(BaseModel):
    type: Literal["text"] = "text"
    text: str
    citations: Annotated[list[Citation] | None, OMIT_NONE] = None


class Thinking(BaseModel):
    type: Literal["thinking"] = "thinking"
    thinking: str
    signature: str = ""


class ToolUse(BaseModel):
    type: Literal["tool_use"] = "tool_use"
    id: str
    name: str
    input: dict[str, Any]


class McpToolUse(BaseModel):
    type: Literal["mcp_tool_use"] = "mcp_tool_use"
    id: str
    name: str
    server_name: str
    input: dict[str, Any]


class McpToolResult(BaseModel):
    type: Literal["mcp_tool_result"] = "mcp_tool_result"
    tool_use_id: str
    is_error: bool
    content: list[Text]


Block = Annotated[Text | Thinking | ToolUse | McpToolUse | McpToolResult, Field(discriminator="type")]


class OutputTokensDetails(BaseModel):
    thinking_tokens: int


class Usage(BaseModel):
    """`input_tokens`: without cached tokens. All counts are sums over the turns of the answer, if tools ran on the server."""

    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0
    output_tokens_details: OutputTokensDetails = OutputTokensDetails(thinking_tokens=0)


class Message(BaseModel):
    id: str
    type: Literal["message"] = "message"
    role: Literal["assistant"] = "assistant"
    model: str
    content: list[Block]
    stop_reason: StopReason | None
    stop_sequence: str | None
    usage: Usage
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None  # extension


class TokenCount(BaseModel):
    input_tokens: int


class ErrorDetails(BaseModel):
    error_code: str


class ErrorBody(BaseModel):
    type: str
    message: str
    details: Annotated[ErrorDetails | None, OMIT_NONE] = None


class Error(BaseModel):
    type: Literal["error"] = "error"
    error: ErrorBody
    request_id: str
