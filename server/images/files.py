"""Finished pictures as files, and in words of files."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Format = Literal["png", "jpeg", "webp"]
FORMATS: tuple[Format, ...] = ("png", "jpeg", "webp")


@dataclass(frozen=True, slots=True)
class FileForm:
    """`quality`: 0 to 100, of jpeg and webp; 100 makes a webp that lost nothing."""

    format: Format = "png"
    quality: int = 100

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"


def to_file(pixels: NDArray[np.uint8], form: FileForm) -> bytes:
    """`pixels`: [H, W, 1] or [H, W, 3]."""
    file = io.BytesIO()
    image = to_image(pixels)
    match form.format:
        case "png":
            image.save(file, "PNG")
        case "jpeg":
            image.save(file, "JPEG", quality=max(1, form.quality), subsampling=0)
        case "webp" if form.quality == 100:
            image.save(file, "WEBP", lossless=True)
        case "webp":
            image.save(file, "WEBP", quality=form.quality)
    return file.getvalue()


def to_image(pixels: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
