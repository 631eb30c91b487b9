"""What an image may take, and why one is refused."""

from dataclasses import dataclass
from typing import Literal

Bands = Literal["RGB", "RGBA"]  # bytes of a pixel: red, green, blue, and how little is seen through it

# of an ImageError, as OpenAI calls them
Code = Literal["empty_image_file", "image_file_too_large", "image_parse_error", "image_too_large", "unsupported_image_media_type"]
CODES: tuple[Code, ...] = (
    "empty_image_file",
    "image_file_too_large",
    "image_parse_error",
    "image_too_large",
    "unsupported_image_media_type",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageLimits:
    """Per file, except `files`."""

    file_bytes: int = 20 << 20
    pixels: int = 40_000_000
    seconds: float = 20.0  # wall-clock wait for the subprocess, and its processor time
    memory_bytes: int = 1 << 30  # address space of the process that decodes
    files: int = 500  # decoded by a subprocess before it is replaced


class ImageError(ValueError):
    """The image cannot be read; the message says why, and what to do."""

    def __init__(self, message: str, code: Code) -> None:
        super().__init__(message)
        self.code: Code = code


class DecoderFailed(RuntimeError):
    """The server is closing, or its library cannot be loaded: nothing is wrong with the image."""
