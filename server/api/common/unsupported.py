"""What the specification has and this server does not do. Its shape is described and checked like any other, so that a client
generated from the specification fits; using it is refused, and the field is named. UNSUPPORTED does that for fields; variants of
unions are refused where they are read (server/api/chat_completions/request.py)."""

from typing import Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel
from pydantic_core import PydanticCustomError

from server.http.fields import STRICT

Json = dict[str, Any]
T = TypeVar("T")


def _refuse(value: T) -> T:
    if value is not None and value != []:
        raise PydanticCustomError("unsupported", "This server does not support this; leave it out")
    return value


UNSUPPORTED = AfterValidator(_refuse)


def only(*taken: Any) -> AfterValidator:
    """Of the values that the specification has, these; and null."""

    def check(value: T) -> T:
        if value is not None and value not in taken:
            raise PydanticCustomError("unsupported", "This server only supports {taken} here", {"taken": " and ".join(map(repr, taken))})
        return value

    return AfterValidator(check)


class VoiceId(BaseModel):
    model_config = STRICT
    id: str


class AudioOutput(BaseModel):
    model_config = STRICT
    voice: str | VoiceId
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class AudioReference(BaseModel):
    model_config = STRICT
    id: str


class PromptCacheBreakpoint(BaseModel):
    """Prefixes are cached wherever they end, so a mark changes nothing and is taken."""

    model_config = STRICT
    mode: Literal["explicit"]


class PromptCacheOptions(BaseModel):
    model_config = STRICT
    ttl: Literal["30m"] | None = None
    mode: Literal["implicit", "explicit"] | None = None


class PredictedText(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class Prediction(BaseModel):
    model_config = STRICT
    type: Literal["content"]
    content: str | list[PredictedText]


class Place(BaseModel):
    model_config = STRICT
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(BaseModel):
    model_config = STRICT
    type: Literal["approximate"]
    approximate: Place


class WebSearchOptions(BaseModel):
    model_config = STRICT
    user_location: UserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None


class ModerationConfig(BaseModel):
    model_config = STRICT
    mode: Literal["score", "block"]


class ModerationPolicy(BaseModel):
    model_config = STRICT
    input: ModerationConfig | None = None
    output: ModerationConfig | None = None


class Moderation(BaseModel):
    model_config = STRICT
    model: str
    policy: ModerationPolicy | None = None


class FunctionCall(BaseModel):
    """Older than tools, which replace it."""

    model_config = STRICT
    name: str
    arguments: str


class FunctionOption(BaseModel):
    model_config = STRICT
    name: str


class FunctionDefinition(BaseModel):
    model_config = STRICT
    name: str
    description: str | None = None
    parameters: Json | None = None


class ImageUrl(BaseModel):
    model_config = STRICT
    url: str
    detail: Literal["auto", "low", "high"] | None = None


class ImagePart(BaseModel):
    model_config = STRICT
    type: Literal["image_url"]
    image_url: ImageUrl
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputAudio(BaseModel):
    model_config = STRICT
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(BaseModel):
    model_config = STRICT
    type: Literal["input_audio"]
    input_audio: InputAudio
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class FileData(BaseModel):
    model_config = STRICT
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(BaseModel):
    model_config = STRICT
    type: Literal["file"]
    file: FileData
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class FunctionMessage(BaseModel):
    model_config = STRICT
    role: Literal["function"]
    content: str | None
    name: str


class TextFormat(BaseModel):
    model_config = STRICT
    type: Literal["text"]


class GrammarDefinition(BaseModel):
    model_config = STRICT
    definition: str
    syntax: Literal["lark", "regex"]


class GrammarFormat(BaseModel):
    model_config = STRICT
    type: Literal["grammar"]
    grammar: GrammarDefinition


class Custom(BaseModel):
    model_config = STRICT
    name: str
    description: str | None = None
    format: TextFormat | GrammarFormat | None = None


class CustomTool(BaseModel):
    model_config = STRICT
    type: Literal["custom"]
    custom: Custom


class CustomName(BaseModel):
    model_config = STRICT
    name: str


class CustomChoice(BaseModel):
    model_config = STRICT
    type: Literal["custom"]
    custom: CustomName


class CustomInput(BaseModel):
    model_config = STRICT
    name: str
    input: str


class CustomCall(BaseModel):
    model_config = STRICT
    id: str
    type: Literal["custom"]
    custom: CustomInput
