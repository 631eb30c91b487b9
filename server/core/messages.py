"""The messages and tools of a conversation, the same for every API. server/text/conversation/render.py turns them into what a chat template
takes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from engine.api import ImageTiles

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ImageData:
    """A file of an image, as it was sent."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """To be fetched, where the operator allows that."""

    url: str


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file that the server keeps, of whoever asks."""

    id: str


@dataclass(frozen=True, slots=True)
class SeenTiles:
    """`rows`: that are made of them."""

    tiles: ImageTiles
    rows: int


@dataclass(frozen=True, slots=True)
class SeenImage:
    """As a model reads it: tiles, and around them what its makers wrote there, control tokens included."""

    parts: tuple[str | SeenTiles, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """In a message, before character `at` of its text. `joint`: the line break before it is none of the text's, but stands between what
    comes before and behind the image. `low`: as few tokens as can be are to be made of it."""

    content: ImageData | ImageUrl | ImageFile | SeenImage
    at: int = 0
    joint: bool = False
    low: bool = False
    field: str = "messages"  # of the request that holds it: "messages.0.content.1.image_url.url"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that the model may call. `parameters`: JSON Schema of an object. `strict`: the schema is enforced completely or the
    request refused; otherwise what a grammar cannot enforce is left to whoever runs the tool."""

    name: str  # [A-Za-z0-9_-]{1,64}, unique among a turn's tools
    description: str
    parameters: Mapping[str, Any]
    strict: bool = False
    field: str = "tools"  # of the request that holds it: "tools.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    id: str
    name: str
    arguments: str  # the JSON text of an object, or whatever the model wrote


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    text: str
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    text: str
    name: str | None = None
    images: tuple[Image, ...] = ()  # in the order of their places


@dataclass(frozen=True, slots=True, kw_only=True)
class Assistant:
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """Output of a tool call. Untrusted, whoever sent it."""

    call_id: str
    name: str  # of the tool
    text: str
    images: tuple[Image, ...] = ()


Message = System | User | Assistant | ToolResult


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedTools:
    """One of these tools must be called."""

    names: tuple[str, ...]


ToolChoice = Literal["auto", "none", "required"] | NamedTools

PromptEnd = Literal["answer", "nothing", "continued"]  # the model writes a new message, whatever comes, or more of the last message


def joined_parts(parts: Iterable[str | Image]) -> tuple[str, tuple[Image, ...]]:
    """The texts, a line each, and the images with their places among them."""
    text, images, is_first, waiting = "", list[Image](), True, list[Image]()
    for part in parts:
        if isinstance(part, Image):
            waiting.append(part)
            continue
        text += "" if is_first else "\n"
        images += [replace(image, at=len(text), joint=not is_first and place == 0) for place, image in enumerate(waiting)]
        text, is_first, waiting = text + part, False, []
    return text, (*images, *(replace(image, at=len(text)) for image in waiting))


def split_parts(text: str, images: Sequence[Image]) -> list[str | Image]:
    """The parts again; texts that are empty are left out."""
    parts, begin = list[str | Image](), 0
    for image in images:
        end = image.at - 1 if image.joint else image.at
        parts += [text[begin:end]] if begin < end else []
        parts.append(image)
        begin = image.at
    return [*parts, text[begin:]] if begin < len(text) else parts


def moved(images: Sequence[Image], characters: int) -> tuple[Image, ...]:
    """With so many characters more before them."""
    return tuple(replace(image, at=image.at + characters) for image in images)


def images_of(message: Message) -> tuple[Image, ...]:
    return message.images if isinstance(message, User | ToolResult) else ()


def seen_images(messages: Iterable[Message]) -> list[SeenImage]:
    """In the order in which a prompt shows them. All must have been seen."""
    contents = [image.content for message in messages for image in images_of(message)]
    return [content for content in contents if isinstance(content, SeenImage)]
