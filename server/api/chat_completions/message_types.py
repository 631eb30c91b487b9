"""The messages of a chat: what was said, with which tools, on which grounds."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.chat_completions.content_types import AssistantContent, TextContent, UserContent
from server.api.chat_completions.tool_types import CallId, FunctionCall, McpApprovalRequest, McpCall, ToolCall
from server.api.chat_completions.unsupported_types import AudioReference, CustomCall, FunctionMessage
from server.api.common.types import FileCitation
from server.api.common.unsupported import UNSUPPORTED
from server.http.fields import STRICT


class SystemMessage(BaseModel):
    model_config = STRICT
    role: Literal["system", "developer"]
    content: TextContent
    name: str | None = None


class UserMessage(BaseModel):
    model_config = STRICT
    role: Literal["user"]
    content: UserContent
    name: str | None = None


class AssistantMessage(BaseModel):
    """Takes what a response's message holds, so that it can be sent back as it came."""

    model_config = STRICT
    role: Literal["assistant"]
    content: AssistantContent | None = None  # null: it only called tools, or refused
    reasoning_content: str | None = None  # extension
    name: str | None = None
    refusal: str | None = None
    audio: Annotated[AudioReference | None, UNSUPPORTED] = None
    function_call: Annotated[FunctionCall | None, UNSUPPORTED] = None
    tool_calls: list[ToolCall | Annotated[CustomCall, UNSUPPORTED]] | None = None
    annotations: list[FileCitation] | None = None  # what an earlier answer rested on; the question is looked up anew
    mcp_calls: list[McpCall] | None = None  # extensions
    mcp_approval_requests: list[McpApprovalRequest] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.content is None and not (self.refusal or self.tool_calls or self.mcp_calls or self.mcp_approval_requests):
            raise PydanticCustomError("no_content", "an assistant's message has content, or tool_calls")
        return self


class ToolMessage(BaseModel):
    """What a call of the assistant's message before it brought."""

    model_config = STRICT
    role: Literal["tool"]
    content: TextContent
    tool_call_id: CallId


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")]
