"""Pictures of documents as files of ours: decoded by Pillow, made small, and written anew, without whatever else the file held. Runs in the
sandbox."""

import io
import warnings
from typing import IO

from PIL import Image, ImageOps

from retrieval.api import PictureType
from retrieval.images.pillow import FORMATS

SIDE = 768  # pixels, at most: no encoder of images reads more
MIN_SIDE = 16  # pixels: what is smaller is a bullet, a line or a spacer
MAX_PIXELS = 40_000_000  # before it is made small
MAX_PNG = 300_000  # bytes; larger ones become JPEG
QUALITY = 90  # of JPEG

TRANSPARENT = ("RGBA", "LA", "P", "PA")  # modes

Encoded = tuple[bytes, PictureType]


def encode_file(content: IO[bytes]) -> Encoded | None:
    """Its first picture. None: damaged, too large, of a format that is not read, or too small to show anything."""
    warnings.simplefilter("ignore")  # of the file's metadata
    Image.MAX_IMAGE_PIXELS = None  # pyright: ignore[reportAttributeAccessIssue] - the limit is ours
    try:
        with Image.open(content, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None
            image.draft("RGB", (2 * SIDE, 2 * SIDE))  # a JPEG need not be decoded in full
            return encode(ImageOps.exif_transpose(image), lossy=image.format == "JPEG")
    except MemoryError:
        raise
    except Exception:  # decoders of broken files fail in many ways, and a document is not to be lost by one of its pictures
        return None


def encode(image: Image.Image, *, lossy: bool = False) -> Encoded | None:
    if min(image.size) < MIN_SIDE:
        return None
    small = image.convert("RGBA" if image.mode in TRANSPARENT else "RGB")
    small.thumbnail((SIDE, SIDE))  # before it is laid on paper, which takes several times its memory
    plain = on_paper(small)
    if not lossy and len(data := _written(plain, "PNG")) <= MAX_PNG:
        return data, "image/png"
    return _written(plain, "JPEG"), "image/jpeg"


def on_paper(image: Image.Image) -> Image.Image:
    """Red, green and blue; what is transparent is white."""
    if image.mode not in TRANSPARENT:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")


def _written(image: Image.Image, form: str) -> bytes:
    file = io.BytesIO()
    image.save(file, form, quality=QUALITY)
    return file.getvalue()
