"""Wire types of chat messages."""

from typing import Annotated, Any, Literal, Self

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
    """Accepts all fields of a response's message, so that clients can send it back unchanged, and those that other servers' answers
    have. Ignored: `parsed`, `provider_specific_fields`, `reasoning_details`."""

    model_config = STRICT
    role: Literal["assistant"]
    content: AssistantContent | None = None  # null: it only called tools, or refused
    reasoning_content: str | None = None  # extension
    reasoning: str | None = None  # what other servers call reasoning_content
    thinking_blocks: list[dict[str, Any]] | None = None  # litellm's: the same reasoning, as Anthropic's API has it
    name: str | None = None
    prefix: bool | None = None  # of the last message: the model continues it (Mistral, DeepSeek)
    refusal: str | None = None
    audio: Annotated[AudioReference | None, UNSUPPORTED] = None
    function_call: Annotated[FunctionCall | None, UNSUPPORTED] = None
    tool_calls: list[ToolCall | Annotated[CustomCall, UNSUPPORTED]] | None = None
    annotations: list[FileCitation] | None = None  # of an earlier answer; not read, as documents are searched again
    mcp_calls: list[McpCall] | None = None  # extensions
    mcp_approval_requests: list[McpApprovalRequest] | None = None
    parsed: Any = None
    provider_specific_fields: dict[str, Any] | None = None
    reasoning_details: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _expect_content(self) -> Self:
        thoughts = self.reasoning_content or self.reasoning or self.thinking_blocks
        if self.content is None and not (thoughts or self.refusal or self.tool_calls or self.mcp_calls or self.mcp_approval_requests):
            raise PydanticCustomError("no_content", "an assistant's message has content, or tool_calls")
        return self


class ToolMessage(BaseModel):
    """The result of a tool call in the assistant message before it."""

    model_config = STRICT
    role: Literal["tool"]
    content: TextContent
    tool_call_id: CallId
    name: str | None = None  # of the tool; that of the call counts


Message = Annotated[SystemMessage | UserMessage | AssistantMessage | ToolMessage | FunctionMessage, Field(discriminator="role")]
