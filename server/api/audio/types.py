"""What /v1/audio/transcriptions and /v1/audio/translations answer: OpenAI's shapes. Times are seconds."""

from typing import Annotated, Literal

from pydantic import BaseModel, RootModel

from server.http.fields import OMIT_NONE
from server.http.warnings import WarningObject


class Duration(BaseModel):
    type: Literal["duration"] = "duration"
    seconds: int  # of the recording, begun ones count


class InputTokens(BaseModel):
    text_tokens: int
    audio_tokens: int  # rows that the encoder made of the recording


class Tokens(BaseModel):
    type: Literal["tokens"] = "tokens"
    input_tokens: int
    input_token_details: InputTokens
    output_tokens: int
    total_tokens: int


class Logprob(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class Word(BaseModel):
    word: str
    start: float
    end: float


class Segment(BaseModel):
    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Plain(BaseModel):
    """response_format json."""

    text: str
    logprobs: Annotated[list[Logprob] | None, OMIT_NONE] = None
    usage: Duration
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None


class Verbose(BaseModel):
    """response_format verbose_json."""

    task: Literal["transcribe", "translate"]
    language: str  # its English name
    duration: float
    text: str
    words: Annotated[list[Word] | None, OMIT_NONE] = None
    segments: Annotated[list[Segment] | None, OMIT_NONE] = None
    usage: Duration
    warnings: Annotated[list[WarningObject] | None, OMIT_NONE] = None


class Transcription(RootModel[Plain | Verbose]):
    pass


class TextDelta(BaseModel):
    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: Annotated[list[Logprob] | None, OMIT_NONE] = None


class TextDone(BaseModel):
    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    logprobs: Annotated[list[Logprob] | None, OMIT_NONE] = None
    usage: Tokens
