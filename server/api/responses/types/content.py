"""Wire types of content parts, which messages and reasoning items consist of."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.types import FileCitation
from server.api.common.unsupported import PromptCacheBreakpoint
from server.api.responses.types.unsupported import UnsupportedVariants
from server.api.responses.types.unsupported_content import ContainerFileCitation, FilePath, InputFile, UrlCitation
from server.http.fields import STRICT

ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class InputText(BaseModel):
    model_config = STRICT
    type: Literal["input_text"]
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputImage(BaseModel):
    """By one of `image_url`, a data URL, and `file_id`."""

    model_config = STRICT
    type: Literal["input_image"]
    image_url: str | None = None
    file_id: ItemId | None = None
    detail: Literal["low", "high", "auto", "original"] | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class TopLogprob(BaseModel):
    model_config = STRICT
    token: str
    logprob: float
    bytes: list[int]


class Logprob(BaseModel):
    model_config = STRICT
    token: str
    logprob: float
    bytes: list[int]
    top_logprobs: list[TopLogprob]


Annotation = Annotated[FileCitation, UnsupportedVariants("annotations", (UrlCitation, ContainerFileCitation, FilePath))]


class OutputTextInput(BaseModel):
    """A text part of an earlier answer, sent back."""

    model_config = STRICT
    type: Literal["output_text"]
    text: str
    annotations: list[Annotation] | None = None
    logprobs: list[Logprob] | None = None


class Refusal(BaseModel):
    """Never in this server's answers; accepted from those of other servers."""

    model_config = STRICT
    type: Literal["refusal"]
    refusal: str


class ReasoningText(BaseModel):
    model_config = STRICT
    type: Literal["reasoning_text"]
    text: str


class SummaryText(BaseModel):
    model_config = STRICT
    type: Literal["summary_text"]
    text: str


InputPart = Annotated[Annotated[InputText | InputImage, Field(discriminator="type")], UnsupportedVariants("content parts", (InputFile,))]
AssistantPart = Annotated[InputText | OutputTextInput | Refusal, Field(discriminator="type")]  # of an assistant message in a request
