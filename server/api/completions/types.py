"""Wire types of POST /v1/completions."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.generation_types import GenerationFields, SamplingFields, TokenLimit
from server.api.common.llamacpp_types import LlamaCppFields
from server.api.common.logprobs import PromptLogprobs
from server.api.common.timings import Timings
from server.api.common.types import Usage
from server.api.common.vllm_types import VllmFields
from server.http.fields import OMIT_NONE, TokenId
from server.http.warnings import Hint, WarningObject

NO_THOUGHTS = Hint("without a chat template there are no thoughts, only text")
Tokens = Annotated[list[TokenId], Field(min_length=1)]
Prompt = str | Tokens | Annotated[list[str], Field(min_length=1)] | Annotated[list[Tokens], Field(min_length=1)]


class CompletionRequest(SamplingFields, GenerationFields, VllmFields, LlamaCppFields):
    """No template is applied to the prompt. Control tokens written in it are parsed as such, unless parse_special is false."""

    MAX_VALUES: ClassVar[int] = 300_000  # token ids are many, and parsed quickly
    prompt: Prompt
    max_tokens: Annotated[int, TokenLimit(0)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None  # OpenAI: at most 5
    echo: bool | None = None  # with logprobs also those of the prompt
    best_of: Annotated[int, Field(ge=1, le=20)] | None = None  # so many are generated, of which the n likeliest are sent
    suffix: str | None = None  # what follows the completion: for models with tokens for infilling
    include_reasoning: Annotated[bool | None, NO_THOUGHTS] = None
    thinking_token_budget: Annotated[int | None, NO_THOUGHTS] = None
    # extensions
    cache_salt: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None  # prefixes are cached for each apart
    add_special_tokens: bool | None = None  # null: true
    parse_special: bool | None = None  # null: true


class CompletionLogprobs(BaseModel):
    tokens: list[str]
    token_logprobs: list[float | None]  # null for the first token of an echoed prompt
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class Choice(BaseModel):
    index: int
    text: str
    logprobs: CompletionLogprobs | None = None
    finish_reason: Literal["stop", "length"]
    # extensions
    prompt_logprobs: Annotated[PromptLogprobs | None, OMIT_NONE] = None
    prompt_token_ids: Annotated[list[int] | None, OMIT_NONE] = None
    token_ids: Annotated[list[int] | None, OMIT_NONE] = None


class CompletionResponse(BaseModel):
    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    system_fingerprint: str | None = None
    choices: list[Choice]
    usage: Usage
    # extensions
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None
    timings: Annotated[Timings | None, OMIT_NONE] = None
