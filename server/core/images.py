"""Images in requests: what a data URL holds, and what goes wrong with an image."""

import base64
import binascii
import re
from collections.abc import Awaitable
from typing import TypeVar

from retrieval.images.limits import DecoderFailed, ImageError
from server.core.errors import ApiError, bad_request, unavailable
from server.core.messages import ImageData, ImageUrl

T = TypeVar("T")
_DATA_URL = re.compile(r"data:(?P<media>[\w.+-]+/[\w.+-]+)?(;[\w.+-]+=[^;,]*)*;base64,", re.ASCII | re.IGNORECASE)


def image_of_url(url: str, param: str) -> ImageData | ImageUrl:
    """Raises ApiError, naming `param`, for a data URL that is damaged."""
    return ImageData(image_bytes(url, param)) if url[:5].lower() == "data:" else ImageUrl(url)


def image_bytes(url: str, param: str) -> bytes:
    """Of `data:image/png;base64,...` (RFC 2397). Raises ApiError, naming `param`, also for any other URL: nothing is fetched."""
    head = _DATA_URL.match(url)
    if head is None:
        message = f"{param}: an image must be a data URL such as data:image/png;base64,...; nothing is fetched from other addresses"
        raise bad_request(param, message, "invalid_image_url")
    return decoded(url[head.end() :], param)


def decoded(data: str, param: str) -> bytes:
    """Of base64. Raises ApiError, naming `param`."""
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request(param, f"{param}: the image's data is not base64", "invalid_base64_image") from None


async def with_image_errors(answer: Awaitable[T], param: str) -> T:
    """Awaits `answer`. Raises ApiError for its ImageError or DecoderFailed."""
    try:
        return await answer
    except ImageError as error:
        raise ApiError(400, f"{param}: {error}", param, error.code) from error
    except DecoderFailed as error:
        raise unavailable(str(error), "image_decoder_unavailable") from error
