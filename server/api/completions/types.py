"""POST /v1/completions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.api.common.generation_types import GenerationFields, SamplingFields
from server.api.common.types import Usage
from server.api.common.unsupported import Refused
from server.http.fields import TokenId

Tokens = Annotated[list[TokenId], Field(min_length=1)]
Prompt = str | Tokens | Annotated[list[str], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)]


class CompletionRequest(SamplingFields, GenerationFields):
    """No template is applied to the prompt. Control tokens written in it are parsed as such, unless parse_special is false."""

    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    # fields of which only the value that asks for nothing is accepted
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None  # n, or nothing
    suffix: Refused = None
    # extensions
    add_special_tokens: bool = True
    parse_special: bool = True


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class Choice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"]


class CompletionResponse(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
