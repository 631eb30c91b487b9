"""Decodes images by Pillow. In the subprocess: it knows dozens of formats, and only what is listed here is ever opened."""

import re
import warnings
from typing import IO

from PIL import Image, ImageOps

from retrieval.images.limits import Bands, ImageError

FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF")
_SVG = re.compile(rb"\s*(<\?xml|<!--|<!DOCTYPE svg|<svg)", re.IGNORECASE)


def write_pixels(source: IO[bytes], target: IO[bytes], pixels: int, bands: Bands) -> tuple[int, int]:
    """The first picture of a file, upright as its EXIF data says, as bytes of `bands`, line by line. Returns width and height.
    Raises ImageError, also for more than `pixels`, before any of them is decoded."""
    warnings.simplefilter("ignore")  # of the file's metadata; nobody reads them
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours
    with _open(source) as image:
        width, height = image.size
        if width * height > pixels:
            most = f"{pixels / 1e6:g} million"
            raise ImageError(f"the image has {width} x {height} pixels; at most {most} are read, so make it smaller", "image_too_large")
        try:
            upright = ImageOps.exif_transpose(image).convert(bands)
        except (OSError, SyntaxError, ValueError, IndexError, TypeError, EOFError) as error:
            raise ImageError(f"the image is damaged: {_reason(error)}", "image_parse_error") from None
    target.write(upright.tobytes())
    return upright.size


def _open(source: IO[bytes]) -> Image.Image:
    head = source.read(1024)
    source.seek(0)
    known = ", ".join(FORMATS)
    if _SVG.match(head):
        message = f"the file is SVG, or other XML, which is not drawn here: send a picture of it in one of {known}"
        raise ImageError(message, "unsupported_image_media_type")
    try:
        return Image.open(source, formats=FORMATS)
    except (OSError, SyntaxError, ValueError, IndexError, TypeError, EOFError):
        raise ImageError(f"the file is damaged, or no image in one of {known}", "unsupported_image_media_type") from None


def _reason(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
