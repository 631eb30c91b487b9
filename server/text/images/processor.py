"""What makes of an image's pixels that which a model reads."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import normalized
from retrieval.images.settings import Preprocessing

Part = str | ImageTiles


class Processor(Protocol):
    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        """Tiles, and what is written around them, control tokens included. `low`: as few rows as the model's makers provide for. Raises
        ImageError for an image that this model cannot read."""
        ...


def tiles_of(parts: Sequence[Pixels], settings: Preprocessing) -> ImageTiles:
    """Of pictures that have the size of a tile already."""
    return ImageTiles(np.stack([normalized(part, settings) for part in parts]))
