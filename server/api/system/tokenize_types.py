"""POST /tokenize and /detokenize: extensions, in the format of vLLM."""

from typing import Annotated

from pydantic import BaseModel, Field

from server.api.chat_completions.message_types import Message
from server.http.fields import STRICT, TokenId


class TokenizeRequest(BaseModel):
    """One of prompt and messages. A prompt is read as /v1/completions reads it, messages as /v1/chat/completions does."""

    model_config = STRICT
    model: str | None = None
    prompt: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    add_special_tokens: bool = True
    parse_special: bool = True


class TokenizeResponse(BaseModel):
    tokens: list[int]
    count: int
    max_model_len: int


class DetokenizeRequest(BaseModel):
    model_config = STRICT
    model: str | None = None
    tokens: list[TokenId]


class DetokenizeResponse(BaseModel):
    prompt: str
