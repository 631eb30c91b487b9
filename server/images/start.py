"""What a picture is made of: an image of the client's, as large as the model's pictures are, and where it is to be made anew."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Resampling

from engine.api import StartPicture

Rgba = NDArray[np.uint8]  # [H, W, 4]


@dataclass(frozen=True, slots=True)
class Look:
    """Of the picture that is to be made: width and height, and 1 channel or 3."""

    size: tuple[int, int]
    channels: int


class MaskError(ValueError):
    """A mask that does not fit its image."""


def start_picture(image: Rgba, mask: Rgba | None, look: Look, strength: float | None) -> StartPicture:
    """Cut to the proportions of `look` in the middle, and resized. What is transparent, in `mask` or without one in the image itself, is
    made anew; an image without a transparent place is changed as a whole. `strength` None: as in diffusers' pipelines. Raises MaskError."""
    if mask is not None and mask.shape != image.shape:
        told = [f"{width} x {height}" for height, width in (mask.shape[:2], image.shape[:2])]
        raise MaskError(f"it has {told[0]} pixels, and the image {told[1]}: they must be as large as each other")
    alpha = (image if mask is None else mask)[..., 3]
    if mask is not None and alpha.all():
        raise MaskError("it has no transparent place, and says so that nothing is to be changed")
    fitted = ImageOps.fit(Image.fromarray(image).convert("RGB"), look.size, Resampling.LANCZOS)
    pixels = np.asarray(fitted.convert("L"))[..., None] if look.channels == 1 else np.asarray(fitted)
    anew = None if alpha.all() else np.asarray(ImageOps.fit(Image.fromarray(alpha), look.size, Resampling.BOX)) < 128
    usual = 0.8 if anew is None else 1.0
    return StartPicture(pixels=pixels, strength=usual if strength is None else strength, mask=anew)
