"""POST /v1/completions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from server.http.fields import (
    STRICT,
    Choices,
    LogitBias,
    Penalty,
    Probability,
    Refused,
    Repetition,
    ResponseFormat,
    Seed,
    Stop,
    StreamOptions,
    StructuredOutputs,
    Temperature,
    TokenId,
    Usage,
)

Tokens = Annotated[list[TokenId], Field(min_length=1)]
Prompt = str | Tokens | Annotated[list[str], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)]


class CompletionRequest(BaseModel):
    """The prompt is the caller's own template: control tokens written in it count, unless parse_special is false."""

    model_config = STRICT
    model: str
    prompt: Prompt
    max_tokens: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    temperature: Temperature = None
    top_p: Probability = None
    n: Choices = None
    stop: Stop = None
    seed: Seed = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    logit_bias: LogitBias = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    echo: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    # fields of which only the value that asks for nothing is accepted
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None  # n, or nothing
    suffix: Refused = None
    # extensions
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    min_p: Probability = None
    repetition_penalty: Repetition = None
    ignore_eos: bool | None = None
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None
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
