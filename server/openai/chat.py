"""POST /v1/chat/completions."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.openai.common import (
    STRICT,
    Choices,
    Count,
    Empty,
    LogitBias,
    Off,
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
    Usage,
)

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Metadata = Annotated[
    dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]], Field(max_length=16)
]


class TextPart(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: str


Content = str | Annotated[list[TextPart], Field(min_length=1)]


class SystemMessage(BaseModel):
    model_config = STRICT
    role: Literal["system", "developer"]
    content: Content
    name: str | None = None


class UserMessage(BaseModel):
    model_config = STRICT
    role: Literal["user"]
    content: Content
    name: str | None = None


class AssistantMessage(BaseModel):
    """Takes what a response's message holds, so that it can be sent back as it came."""

    model_config = STRICT
    role: Literal["assistant"]
    content: Content
    reasoning_content: str | None = None  # extension
    name: str | None = None
    refusal: Refused = None
    audio: Refused = None
    function_call: Refused = None
    tool_calls: Empty = None
    annotations: Empty = None


Message = Annotated[SystemMessage | UserMessage | AssistantMessage, Field(discriminator="role")]


class ChatRequest(BaseModel):
    model_config = STRICT
    model: str
    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count = None
    max_tokens: Count = None
    temperature: Temperature = None
    top_p: Probability = None
    n: Choices = None
    stop: Stop = None
    seed: Seed = None
    presence_penalty: Penalty = None
    frequency_penalty: Penalty = None
    logit_bias: LogitBias = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    reasoning_effort: Effort | None = None
    metadata: Metadata | None = None
    user: str | None = None
    safety_identifier: Annotated[str, StringConstraints(max_length=64)] | None = None
    prompt_cache_key: str | None = None  # prefixes are cached for everybody, with or without it
    prompt_cache_retention: Literal["in_memory"] | None = None
    # fields of which only the value that asks for nothing is accepted
    service_tier: Literal["auto", "default"] | None = None
    modalities: Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)] | None = None
    verbosity: Literal["medium"] | None = None
    store: Off = None
    tools: Empty = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    functions: Empty = None
    function_call: Literal["none", "auto"] | None = None
    prompt_cache_options: Refused = None
    web_search_options: Refused = None
    audio: Refused = None
    prediction: Refused = None
    moderation: Refused = None
    # extensions
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    min_p: Probability = None
    repetition_penalty: Repetition = None
    ignore_eos: bool | None = None
    structured_outputs: StructuredOutputs | None = None
    chat_template_kwargs: dict[str, str | int | float | bool | None] | None = None


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    content: list[TokenLogprob] | None
    refusal: None = None


class ResponseMessage(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: None = None
    reasoning_content: str | None = None  # extension


class Choice(BaseModel):
    index: int
    message: ResponseMessage
    logprobs: ChoiceLogprobs | None = None
    finish_reason: Literal["stop", "length"]


class ChatResponse(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    metadata: dict[str, str] | None = None
