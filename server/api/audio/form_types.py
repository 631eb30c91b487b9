"""The text fields of the forms of /v1/audio/transcriptions and /v1/audio/translations."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

from server.api.common.unsupported import UNSUPPORTED, supports_only
from server.http.lists import QUERY, QueryInt
from server.http.warnings import Hint

Format = Literal["json", "text", "srt", "verbose_json", "vtt"]
WINDOWS = Hint("what is said is cut where its segments end, as the model hears them")
Text = Annotated[str, StringConstraints(min_length=1)]


class AudioForm(BaseModel):
    """What both forms have."""

    model_config = QUERY
    model: Text
    prompt: str | None = None  # what was said before, or names that occur
    temperature: Annotated[float, Field(ge=0, le=1)] = 0.0  # 0: higher ones are tried where the text is in doubt
    language: Text | None = None  # of the recording; of translations an extension
    seed: QueryInt | None = None  # extension, as vLLM has it: with a temperature the same seed gives the same text


class TranscriptionForm(AudioForm):
    response_format: Annotated[Format | Literal["diarized_json"], supports_only("json", "text", "srt", "verbose_json", "vtt")] = "json"
    languages: Annotated[list[Text], Field(max_length=100)] | None = None
    keywords: Annotated[list[Text], Field(max_length=1000)] | None = None  # words that occur
    timestamp_granularities: list[Literal["word", "segment"]] | None = None
    include: list[Literal["logprobs"]] | None = None
    stream: bool = False
    chunking_strategy: Annotated[Literal["auto"] | None, WINDOWS] = None
    vad_type: Annotated[str | None, UNSUPPORTED] = Field(default=None, alias="chunking_strategy[type]")
    vad_padding: Annotated[str | None, UNSUPPORTED] = Field(default=None, alias="chunking_strategy[prefix_padding_ms]")
    vad_silence: Annotated[str | None, UNSUPPORTED] = Field(default=None, alias="chunking_strategy[silence_duration_ms]")
    vad_threshold: Annotated[str | None, UNSUPPORTED] = Field(default=None, alias="chunking_strategy[threshold]")
    known_speaker_names: Annotated[list[str] | None, UNSUPPORTED] = None
    known_speaker_references: Annotated[list[str] | None, UNSUPPORTED] = None


class TranslationForm(AudioForm):
    response_format: Format = "json"


LISTS = frozenset(
    ("languages", "keywords", "timestamp_granularities", "include", "known_speaker_names", "known_speaker_references")
)  # fields that a form may hold several times
