"""LLaVA-1.5 (Liu et al. 2023, arXiv 2310.03744): an image is one tile, as the encoder in it was trained on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import preprocess
from retrieval.images.settings import Preprocessing, preprocessing_of
from server.text.images.processor import Part


@dataclass(frozen=True, slots=True)
class OneTile:
    settings: Preprocessing
    square: tuple[int, ...] | None = None  # what fills an image up to a square first, red, green and blue; None: nothing

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        whole = pixels if self.square is None else _squared(pixels, self.square)
        return (ImageTiles(preprocess(whole, self.settings)[None]),)


def llava(said: Mapping[str, Any], where: str) -> OneTile:
    """Raises PreprocessingError."""
    is_llava = str(said.get("image_processor_type")).startswith("Llava")
    settings = preprocessing_of({key: value for key, value in said.items() if key != "do_pad" or not is_llava}, where)
    squares = bool(is_llava and said.get("do_pad"))
    return OneTile(settings, tuple(int(mean * 255) for mean in settings.mean or (0, 0, 0)) if squares else None)


def _squared(pixels: Pixels, color: tuple[int, ...]) -> Pixels:
    height, width, channels = pixels.shape
    side = max(height, width)
    canvas = np.empty((side, side, channels), np.uint8)
    canvas[:] = color
    top, left = (side - height) // 2, (side - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas
