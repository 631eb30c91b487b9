"""Wire types of content blocks that carry documents. Those of text are read; those that hold anything else are refused by name."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

from server.api.anthropic.text_types import CacheControl, TextBlock
from server.core.errors import bad_request
from server.core.images import decoded, image_of_url
from server.core.messages import Image, ImageData, ImageFile
from server.http.fields import STRICT


class CitationsOption(BaseModel):
    model_config = STRICT
    enabled: bool | None = None


class TextSource(BaseModel):
    model_config = STRICT
    type: Literal["text"]
    media_type: Literal["text/plain"]
    data: str


class ContentSource(BaseModel):
    model_config = STRICT
    type: Literal["content"]
    content: str | list[TextBlock]


class OtherSource(BaseModel):
    """base64, url or file: what it holds is not read here."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: str


def _source_tag(given: Any) -> str:
    kind: Any = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return kind if kind in ("text", "content") else "other"


Source = Annotated[
    Annotated[TextSource, Tag("text")] | Annotated[ContentSource, Tag("content")] | Annotated[OtherSource, Tag("other")],
    Discriminator(_source_tag),
]


class DocumentBlock(BaseModel):
    model_config = STRICT
    type: Literal["document"]
    source: Source
    title: str | None = None
    context: str | None = None
    citations: CitationsOption | None = None  # enabled: has no effect, with a warning
    cache_control: CacheControl | None = None


class SearchResultBlock(BaseModel):
    model_config = STRICT
    type: Literal["search_result"]
    source: str
    title: str
    content: list[TextBlock]
    citations: CitationsOption | None = None  # as in DocumentBlock
    cache_control: CacheControl | None = None


class Base64Source(BaseModel):
    model_config = STRICT
    type: Literal["base64"]
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]
    data: str


class UrlSource(BaseModel):
    model_config = STRICT
    type: Literal["url"]
    url: str


class FileSource(BaseModel):
    model_config = STRICT
    type: Literal["file"]
    file_id: str


class ImageBlock(BaseModel):
    model_config = STRICT
    type: Literal["image"]
    source: Annotated[Base64Source | UrlSource | FileSource, Field(discriminator="type")]
    cache_control: CacheControl | None = None


class UnreadableBlock(BaseModel):
    """Of kinds that this server has no use for."""

    model_config = ConfigDict(extra="allow", frozen=True)
    type: Literal["container_upload", "tool_reference"]


ReadableBlock = TextBlock | DocumentBlock | SearchResultBlock
Part = ReadableBlock | ImageBlock | UnreadableBlock


def asks_for_citations(block: object) -> bool:
    return isinstance(block, DocumentBlock | SearchResultBlock) and block.citations is not None and block.citations.enabled is True


def part_of(part: Part, field: str) -> str | Image:
    """`field`: where it is ("messages.0.content.1"). Raises ApiError for what is neither text nor an image."""
    match part:
        case ImageBlock():
            return _image(part, f"{field}.source")
        case TextBlock():
            return part.text
        case SearchResultBlock():
            return _joined(part.title, part.source, *(block.text for block in part.content))
        case DocumentBlock():
            return _joined(part.title, part.context, _source_text(part, f"{field}.source.type"))
        case UnreadableBlock():
            name = f"{field}.type"
            raise bad_request(name, f"{name}: this server reads text; it has no use for {part.type}", "unsupported")


def parts_of(content: str | Sequence[Part], field: str) -> list[str | Image]:
    """Raises ApiError."""
    return [content] if isinstance(content, str) else [part_of(part, f"{field}.{i}") for i, part in enumerate(content)]


def _image(block: ImageBlock, field: str) -> Image:
    match block.source:
        case Base64Source(data=data):
            return Image(content=ImageData(decoded(data, f"{field}.data")), field=f"{field}.data")
        case UrlSource(url=url):
            return Image(content=image_of_url(url, f"{field}.url"), field=f"{field}.url")
        case FileSource(file_id=id):
            return Image(content=ImageFile(id), field=f"{field}.file_id")


def _source_text(block: DocumentBlock, field: str) -> str:
    match block.source:
        case TextSource(data=text):
            return text
        case ContentSource(content=content):
            return content if isinstance(content, str) else "\n".join(part.text for part in content)
        case OtherSource(type=kind):
            advice = "send the document's text, or put the file into a vector store that file_search reads"
            raise bad_request(field, f"{field}: documents of type {kind[:40]!r} are not read here; {advice}", "unsupported")


def _joined(*texts: str | None) -> str:
    return "\n".join(text for text in texts if text)
