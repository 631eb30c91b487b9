"""The messages of a chat: what was said, with which tools, on which grounds."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from server.openai.chat_tools import CallId, McpApprovalRequest, McpCall, ToolCall
from server.openai.common import STRICT
from server.openai.unsupported import (
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


class FileCitation(BaseModel):
    """From page on: extensions. `quote` is what stands at start:end of the file's parsed text."""

    model_config = STRICT
    type: Literal["file_citation"] = "file_citation"
    index: int  # characters of the content: where the mark [n] begins, or where the sentence ends that has none
    file_id: str
    filename: str
    page: int | None = None
    start: int = 0
    end: int = 0
    quote: str = ""
    chunk_id: int = 0
    vector_store_id: str = ""
    score: float = 0.0  # how well the quote supports the sentence, 0..1


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
