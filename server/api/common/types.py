"""Parts of answers and requests that several APIs share: log probabilities, file citations, token usage, effort, service tier."""

from typing import Literal

from pydantic import BaseModel

from server.http.fields import STRICT


class TopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None


class TokenLogprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int] | None
    top_logprobs: list[TopLogprob]


ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


class FileCitation(BaseModel):
    """From page on: extensions. `quote` is what stands at start:end of the file's parsed text. `start_seconds` and `end_seconds`: when it
    is said, in a recording; `picture`: its media type, where a picture is cited; `url`: where on this server that can be opened."""

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
    start_seconds: float | None = None
    end_seconds: float | None = None
    picture: str | None = None
    url: str = ""


class PromptDetails(BaseModel):
    cached_tokens: int
    cache_write_tokens: int = 0
    text_tokens: int
    image_tokens: int = 0
    audio_tokens: int = 0


class CompletionDetails(BaseModel):
    reasoning_tokens: int
    text_tokens: int
    audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0


class Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    completion_tokens_details: CompletionDetails
