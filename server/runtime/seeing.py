"""The images of a conversation, before it becomes a prompt: each is read from where it is, and seen by the model."""

from collections.abc import Sequence
from dataclasses import replace

from retrieval.images.limits import ImageLimits
from server.core.cost import before_long_work
from server.core.errors import ApiError, bad_request
from server.core.images import with_image_errors
from server.core.messages import Image, ImageData, ImageFile, ImageUrl, Message, SeenImage, SeenTiles, ToolResult, User, images_of
from server.core.threads import in_thread
from server.runtime.runtime import Runtime, expect_database
from server.text.images.sight import Sight

UNSEEN = "[an image, which this model cannot see]"


async def with_seen_images(runtime: Runtime, messages: Sequence[Message]) -> Sequence[Message]:
    """All images are then as the model reads them; a model that reads texts alone is told of those in results of tools. Raises ApiError,
    which names the image's field."""
    if not any(map(images_of, messages)):
        return messages
    if runtime.sight is None:
        return [_in_words(runtime, message) for message in messages]
    await before_long_work()
    seen, rows = list[Message](), 0
    for message in messages:
        found = list[Image]()
        for image in images_of(message):
            content = await _seen(runtime, runtime.sight, image)
            rows += sum(part.rows for part in content.parts if isinstance(part, SeenTiles))
            if rows > runtime.engine.info.context:
                raise _too_many(runtime, image.field, rows)
            found.append(replace(image, content=content))
        seen.append(replace(message, images=tuple(found)) if isinstance(message, User | ToolResult) and found else message)
    return seen


async def with_shown_images(runtime: Runtime, result: ToolResult, files: Sequence[bytes]) -> ToolResult:
    """With those of a tool's images that the model can see; of the others it is told why not."""
    images, told = list[Image](), list[str]()
    for file in files:
        if runtime.sight is None:
            told.append(UNSEEN)
            continue
        try:
            shown = await _seen(runtime, runtime.sight, Image(content=ImageData(file), field="image"))
            images.append(Image(content=shown, at=len(result.text), field="image"))
        except ApiError as error:
            told.append(f"[an image that cannot be seen: {error.message}]")
    return replace(result, text="\n".join([result.text, *told]), images=tuple(images))


def _not_fetched(field: str) -> ApiError:
    how = "send a data URL such as data:image/png;base64,..., or have the operator allow the host (--image-host)"
    return bad_request(field, f"{field}: nothing is fetched from other addresses: {how}", "invalid_image_url")


def _too_many(runtime: Runtime, field: str, rows: int) -> ApiError:
    context = runtime.engine.info.context
    told = f"{field}: the images up to this one need {rows} tokens, more than fit into the model's context of {context}"
    return bad_request(field, told, "context_length_exceeded")


async def _seen(runtime: Runtime, sight: Sight, image: Image) -> SeenImage:
    match image.content:
        case SeenImage():
            return image.content
        case ImageData() | ImageUrl() | ImageFile() as source:
            data = await read_image(runtime, source, image.field)
            return await with_image_errors(sight.see(data, low=image.low, owner=runtime.owner), image.field)


async def read_image(runtime: Runtime, source: ImageData | ImageUrl | ImageFile, field: str) -> bytes:
    """The file, from where it is. Raises ApiError, which names `field`."""
    match source:
        case ImageData(data):
            return data
        case ImageUrl(url=url):
            if (fetch := runtime.fetch_image) is None:
                raise _not_fetched(field)
            return await fetch(url, field)
        case ImageFile(id=id):
            return await _content(runtime, id, field)


async def _content(runtime: Runtime, id: str, field: str) -> bytes:
    """Of a file. Raises ApiError, also for one that is larger than an image may be, before it is read."""
    database, most = expect_database(runtime), ImageLimits().file_bytes
    try:
        if (size := (await in_thread(database.file, runtime.owner, id)).bytes) > most:
            told = f"{field}: the file {id} has {size >> 20} MiB; at most {most >> 20} are read of an image"
            raise bad_request(field, told, "image_file_too_large")
        return await in_thread(lambda: b"".join(database.read_file(runtime.owner, id)))
    except ApiError as error:
        raise replace(error, param=field) from error


def _in_words(runtime: Runtime, message: Message) -> Message:
    match message:
        case ToolResult():
            return replace(message, text="\n".join(filter(None, [message.text, *(UNSEEN for _ in message.images)])), images=())
        case User(images=(first, *_)):
            raise _no_eyes(runtime, first.field)
        case _:
            return message


def _no_eyes(runtime: Runtime, field: str) -> ApiError:
    name = runtime.names[0]
    return bad_request(field, f"{field}: {name} reads text alone: leave the image out, or ask a model that reads images", "unsupported")
