"""POST /tokenize, /detokenize and /apply-template: extensions, in the formats of vLLM and llama.cpp."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from server.api.chat_completions.message_types import Message
from server.api.chat_completions.tool_types import FunctionTool
from server.http.fields import OMIT_NONE, STRICT, TokenId


class Conversation(BaseModel):
    """What a chat template makes a prompt of, with the meaning that it has in /v1/chat/completions."""

    model_config = STRICT
    model: str | None = None
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    tools: Annotated[list[FunctionTool], Field(max_length=128)] | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = None


class TokenizeRequest(Conversation):
    """One of prompt, content (llama.cpp's name of it) and messages. A prompt is read as /v1/completions reads it, messages as
    /v1/chat/completions does."""

    prompt: str | None = None
    content: str | None = None
    add_special_tokens: bool = True
    add_special: bool | None = None  # llama.cpp's name of add_special_tokens
    parse_special: bool = True
    with_pieces: bool | None = None  # tokens as objects with their text, as llama.cpp has it
    return_token_strs: bool | None = None  # as vLLM has it


class TokenPiece(BaseModel):
    """`piece`: its text, or its bytes where these are only a part of a character."""

    id: int
    piece: str | list[int]


class TokenizeResponse(BaseModel):
    tokens: list[int] | list[TokenPiece]
    count: int
    max_model_len: int
    token_strs: Annotated[list[str] | None, OMIT_NONE] = None


class TemplateResponse(BaseModel):
    prompt: str


class DetokenizeRequest(BaseModel):
    model_config = STRICT
    MAX_VALUES: ClassVar[int] = 300_000  # token ids are many, and parsed quickly
    model: str | None = None
    tokens: list[TokenId]


class DetokenizeResponse(BaseModel):
    prompt: str
    content: str  # the same; llama.cpp's name of it
