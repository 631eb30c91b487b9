"""Wire types of stored chat completions. The completions themselves are ChatResponses (types.py)."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.chat_completions.tool_types import FunctionCall, ToolCall
from server.api.chat_completions.types import AudioResponse, ChatResponse, UrlCitation
from server.api.common.unsupported import PromptCacheBreakpoint
from server.http.fields import OMIT_NONE, STRICT
from server.http.lists import NO_NUL, QUERY, Id, ListObject, Metadata, Order, QueryInt


class StoredChatsQuery(BaseModel):
    """`metadata`: entries that each listed completion must have."""

    model_config = QUERY
    model: Annotated[str, StringConstraints(max_length=256, pattern=NO_NUL)] | None = None
    metadata: Metadata | None = None
    after: Id | None = None
    limit: Annotated[QueryInt, Field(ge=1, le=100)] = 20
    order: Order = "asc"


class StoredMessagesQuery(BaseModel):
    model_config = QUERY
    after: Id | None = None
    limit: Annotated[QueryInt, Field(ge=1, le=100)] = 20
    order: Order = "asc"


class UpdateStoredChat(BaseModel):
    """null removes all entries."""

    model_config = STRICT
    metadata: Metadata | None


class StoredChatList(ListObject[ChatResponse]):
    pass


class StoredChatDeleted(BaseModel):
    id: str
    object: Literal["chat.completion.deleted"] = "chat.completion.deleted"
    deleted: Literal[True] = True


class StoredText(BaseModel):
    type: Literal["text"] = "text"
    text: str
    prompt_cache_breakpoint: Annotated[PromptCacheBreakpoint | None, OMIT_NONE] = None


class StoredImageUrl(BaseModel):
    url: str
    detail: Annotated[Literal["auto", "low", "high"] | None, OMIT_NONE] = None


class StoredImage(BaseModel):
    """Of the specification; there are none, as this server reads text."""

    type: Literal["image_url"] = "image_url"
    image_url: StoredImageUrl
    prompt_cache_breakpoint: Annotated[PromptCacheBreakpoint | None, OMIT_NONE] = None


class StoredMessage(BaseModel):
    """A message of the request, with `content`, or `content_parts` where the content had parts; never both."""

    id: str
    role: str
    content: str | None
    content_parts: list[StoredText | StoredImage] | None
    refusal: str | None = None
    name: Annotated[str | None, OMIT_NONE] = None
    tool_calls: Annotated[list[ToolCall] | None, OMIT_NONE] = None
    tool_call_id: Annotated[str | None, OMIT_NONE] = None
    annotations: Annotated[list[UrlCitation] | None, OMIT_NONE] = None
    audio: Annotated[AudioResponse | None, OMIT_NONE] = None
    function_call: Annotated[FunctionCall | None, OMIT_NONE] = None


class StoredMessageList(ListObject[StoredMessage]):
    pass
