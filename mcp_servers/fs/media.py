"""Images and sounds, recognised by their first bytes, and media types."""

import base64
import mimetypes
import os

from mcp.types import AudioContent, ImageContent

from mcp_servers.fs.roots import Refused, Tree
from mcp_servers.fs.walk import File

BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", 0, "image/png"),
    (b"\xff\xd8\xff", 0, "image/jpeg"),
    (b"GIF87a", 0, "image/gif"),
    (b"GIF89a", 0, "image/gif"),
    (b"WEBP", 8, "image/webp"),
    (b"BM", 0, "image/bmp"),
    (b"ftypavif", 4, "image/avif"),
    (b"WAVE", 8, "audio/wav"),
    (b"ID3", 0, "audio/mpeg"),
    (b"\xff\xfb", 0, "audio/mpeg"),
    (b"\xff\xf3", 0, "audio/mpeg"),
    (b"OggS", 0, "audio/ogg"),
    (b"fLaC", 0, "audio/flac"),
    (b"ftypM4A", 4, "audio/mp4"),
)


def media(tree: Tree, file: File) -> tuple[ImageContent | AudioContent, str, int]:
    """The content block, its media type and its size in bytes. Raises Refused."""
    mime = media_type(os.pread(file.fd, 16, 0))
    if mime is None:
        raise Refused(f"{file.place.shown}: neither an image nor a sound that is known here; read_text shows texts")
    data = whole(tree, file)
    encoded = base64.b64encode(data).decode()
    if mime.startswith("image/"):
        return ImageContent(type="image", data=encoded, mime_type=mime), mime, len(data)
    return AudioContent(type="audio", data=encoded, mime_type=mime), mime, len(data)


def whole(tree: Tree, file: File) -> bytes:
    """The whole content. Raises Refused if it is too large or grows meanwhile."""
    most = tree.limits.media_bytes
    with open(os.dup(file.fd), "rb") as stream:
        data = stream.read(most + 1)
    if len(data) > most:
        raise Refused(f"{file.place.shown}: more than {most} bytes")
    return data


def media_type(beginning: bytes) -> str | None:
    return next((mime for mark, at, mime in BEGINNINGS if beginning.startswith(mark, at)), None)


def named_type(name: str) -> str | None:
    """Media type by file name only."""
    return mimetypes.guess_type(name, strict=False)[0]
