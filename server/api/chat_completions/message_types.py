"""The messages of a chat: what was said, with which tools, on which grounds."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.chat_completions.tool_types import CallId, McpApprovalRequest, McpCall, ToolCall
from server.api.common.types import FileCitation
from server.api.common.unsupported import (
    UNSUPPORTED,
    AudioPart,
    AudioReference,
    CustomCall,
    FilePart,
    FunctionCall,
    FunctionMessage,
    ImagePart,
    PromptCacheBreakpoint,
)
from server.http.fields import STRICT


class TextPart(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class RefusalPart(BaseModel):
    """What the assistant said instead of an answer."""

    model_config = STRICT
    type: Literal["refusal"]
    refusal: str


Part = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
SaidPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
Content = str | Annotated[list[TextPart], Field(min_length=1)]
Asked = str | Annotated[list[Part], Field(min_length=1)]
Said = str | Annotated[list[SaidPart], Field(min_length=1)]


class SystemMessage(BaseModel):
    model_config = STRICT
    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(BaseModel):
    model_config = STRICT
    role: Literal["user"]
    content: Asked
    name: str | None = None


class AssistantMessage(BaseModel):
    """Takes what a response's message holds, so that it can be sent back as it came."""

    model_config = STRICT
    role: Literal["assistant"]
    content: Said | None = None  # null: it only called tools, or refused
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
    content: Content
    tool_call_id: CallId


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")]
