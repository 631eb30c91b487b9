"""What the messages of /v1/responses are made of."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.types import FileCitation
from server.api.common.unsupported import PromptCacheBreakpoint
from server.api.responses.types.other import Beside
from server.api.responses.types.other_content import ContainerFileCitation, FilePath, InputFile, InputImage, UrlCitation
from server.http.fields import STRICT

ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]


class InputText(BaseModel):
    model_config = STRICT
    type: Literal["input_text"]
    text: str
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


Annotation = Annotated[FileCitation, Beside("annotations", (UrlCitation, ContainerFileCitation, FilePath))]


class SaidText(BaseModel):
    """An answer's text, sent back."""

    model_config = STRICT
    type: Literal["output_text"]
    text: str
    annotations: list[Annotation] | None = None
    logprobs: list[Logprob] | None = None


class Refusal(BaseModel):
    """This server writes none; other servers' answers may hold some."""

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


InputPart = Annotated[InputText, Beside("content parts", (InputImage, InputFile))]
SaidPart = Annotated[InputText | SaidText | Refusal, Field(discriminator="type")]  # by the assistant, as clients send it back
