"""Llama 3.2 Vision: an image in the upper left corner of a canvas of tiles, all of which are read together."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import floor
from typing import Any

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import normalized, to_size
from retrieval.images.settings import Preprocessing, PreprocessingError
from server.text.images.processor import Part, read_settings, square_of

Size = tuple[int, int]  # height and width


@dataclass(frozen=True, slots=True)
class OnCanvas:
    settings: Preprocessing
    side: int  # of a tile
    most: int  # tiles

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        size = (pixels.shape[0], pixels.shape[1])
        lines, columns = best_canvas(size, self.side, 1 if low else self.most)
        height, width = inside(size, (lines * self.side, columns * self.side), self.side)
        canvas = np.zeros((lines * self.side, columns * self.side, pixels.shape[2]), np.uint8)
        canvas[:height, :width] = to_size(pixels, height, width, self.settings.filter)
        tiles = normalized(canvas, self.settings).reshape(-1, lines, self.side, columns, self.side).transpose(1, 3, 0, 2, 4)
        return (ImageTiles(np.ascontiguousarray(tiles.reshape(lines * columns, -1, self.side, self.side)), (lines, columns)),)


def mllama(said: Mapping[str, Any], where: str) -> OnCanvas:
    """Raises PreprocessingError."""
    half = [0.5, 0.5, 0.5]
    own = {"size": {"height": 224, "width": 224}, "max_image_tiles": 4, "do_pad": True}
    found, settings = read_settings(said, where, ("Mllama",), own, resample=2, image_mean=half, image_std=half)
    most = found["max_image_tiles"]
    if found["do_pad"] is not True:
        raise PreprocessingError(f"{where}: do_pad must be true")
    if not isinstance(most, int) or most < 1:
        raise PreprocessingError(f"{where}: max_image_tiles = {most!r} must be a number of tiles")
    return OnCanvas(settings, square_of(found["size"], f"{where}: size"), most)


def best_canvas(size: Size, side: int, most: int) -> Size:
    """Lines and columns of tiles: the canvas to which an image must be enlarged least, or if it fits in none, be made smaller least; of
    several the one with the fewest tiles."""
    canvases = [(lines, columns) for lines in range(1, most + 1) for columns in range(1, most + 1) if lines * columns <= most]
    scales = [min(lines * side / size[0], columns * side / size[1]) for lines, columns in canvases]
    larger = [scale for scale in scales if scale >= 1]
    wanted = min(larger) if larger else max(scales)
    chosen = [canvas for canvas, scale in zip(canvases, scales, strict=True) if scale == wanted]
    return min(chosen, key=lambda canvas: canvas[0] * canvas[1])


def inside(size: Size, canvas: Size, side: int) -> Size:
    """As large as the canvas lets it be in its proportions, but no larger than it is or than a tile."""
    (height, width), (tall, broad) = size, (min(max(had, side), room) for had, room in zip(size, canvas, strict=True))
    down, across = tall / height, broad / width
    if across < down:
        return min(floor(height * across) or 1, tall), broad
    return tall, min(floor(width * down) or 1, broad)
