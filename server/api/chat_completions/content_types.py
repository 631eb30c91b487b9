"""The content of chat messages: text, or a list of typed parts. Images and files are parsed here, refused in messages.py; audio is written
down in audio.py."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from server.api.common.unsupported import PromptCacheBreakpoint
from server.http.fields import STRICT


class TextPart(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    text: str
    cache_control: dict[str, Any] | None = None  # Anthropic's, which several clients send everywhere; prefixes are always cached
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class RefusalPart(BaseModel):
    """The assistant's refusal to answer."""

    model_config = STRICT
    type: Literal["refusal"]
    refusal: str


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


UserPart = Annotated[TextPart | ImagePart | AudioPart | FilePart, Field(discriminator="type")]
AssistantPart = Annotated[TextPart | RefusalPart, Field(discriminator="type")]
TextContent = str | Annotated[list[TextPart], Field(min_length=1)]
UserContent = str | Annotated[list[UserPart], Field(min_length=1)]
AssistantContent = str | Annotated[list[AssistantPart], Field(min_length=1)]
