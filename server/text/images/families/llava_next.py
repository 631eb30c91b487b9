"""LLaVA-NeXT (Liu et al. 2024): an image as a whole, and larger, in the tiles of the grid that suits its proportions best."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import preprocess, to_size
from retrieval.images.settings import Preprocessing, PreprocessingError, kind_of, preprocessing_of
from server.text.images.processor import Part

Size = tuple[int, int]  # height and width
PINPOINTS = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]


@dataclass(frozen=True, slots=True)
class InGrid:
    settings: Preprocessing
    side: int  # of a tile
    sizes: tuple[Size, ...]  # of grids, in pixels

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        whole = to_size(pixels, self.side, self.side, self.settings.filter)
        if low:
            return (ImageTiles(preprocess(whole, self.settings)[None]),)
        size = (pixels.shape[0], pixels.shape[1])
        height, width = best_size(size, self.sizes)
        tiles = [whole, *_cut(self._filled(pixels, (height, width)), self.side)]
        values = np.stack([preprocess(tile, self.settings) for tile in tiles])
        return (ImageTiles(values, (height // self.side, width // self.side), size),)

    def _filled(self, pixels: Pixels, size: Size) -> Pixels:
        """Resized in its proportions, in the middle of black."""
        height, width = _inside((pixels.shape[0], pixels.shape[1]), size)
        canvas = np.zeros((*size, pixels.shape[2]), np.uint8)
        top, left = (size[0] - height) // 2, (size[1] - width) // 2
        canvas[top : top + height, left : left + width] = to_size(pixels, height, width, self.settings.filter)
        return canvas


def llava_next(said: Mapping[str, Any], where: str) -> InGrid:
    """Raises PreprocessingError."""
    kind_of(said, where, ("LlavaNext",))
    own = ("image_grid_pinpoints", "do_pad", "image_processor_type")
    settings = preprocessing_of(
        {**{key: value for key, value in said.items() if key not in own}, "image_processor_type": "CLIPImageProcessor"}, where
    )
    sizes = tuple((int(height), int(width)) for height, width in said.get("image_grid_pinpoints") or PINPOINTS)
    if settings.crop is None or settings.crop.height != settings.crop.width:
        raise PreprocessingError(f"{where}: crop_size must say how large a tile is, as high as wide")
    side = settings.crop.height
    if any(height % side or width % side or not height or not width for height, width in sizes):
        raise PreprocessingError(f"{where}: image_grid_pinpoints must be multiples of {side}, a tile's side")
    return InGrid(settings, side, sizes)


def best_size(size: Size, sizes: Sequence[Size]) -> Size:
    """The one in which most pixels of an image are seen, and of these the one with the least around them."""
    height, width = size

    def value(offered: Size) -> tuple[int, int]:
        scale = min(offered[1] / width, offered[0] / height)
        seen = min(int(width * scale) * int(height * scale), width * height)
        return seen, seen - offered[0] * offered[1]

    return max(sizes, key=value)


def _inside(size: Size, room: Size) -> Size:
    across, down = room[1] / size[1], room[0] / size[0]
    if across < down:
        return min(ceil(size[0] * across), room[0]), room[1]
    return room[0], min(ceil(size[1] * down), room[1])


def _cut(pixels: Pixels, side: int) -> list[Pixels]:
    height, width = pixels.shape[:2]
    return [pixels[top : top + side, left : left + side] for top in range(0, height, side) for left in range(0, width, side)]
