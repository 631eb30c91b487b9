"""Request types of chat completions' specification that this server refuses. Their shapes are described and checked nevertheless."""

from typing import Literal

from pydantic import BaseModel

from server.api.chat_completions.content_types import TextPart
from server.core.messages import Json
from server.http.fields import STRICT


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


class Prediction(BaseModel):
    model_config = STRICT
    type: Literal["content"]
    content: str | list[TextPart]


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


class FunctionDefinition(BaseModel):
    model_config = STRICT
    name: str
    description: str | None = None
    parameters: Json | None = None


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
