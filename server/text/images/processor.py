"""What makes of an image's pixels that which a model reads."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from engine.api import ImageTiles
from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import normalized
from retrieval.images.settings import Preprocessing, PreprocessingError, kind_of, preprocessing_of, side_of

Part = str | ImageTiles


class Processor(Protocol):
    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        """Tiles, and what is written around them, control tokens included. `low`: as few rows as the model's makers provide for. Raises
        ImageError for an image that this model cannot read."""
        ...


def tiles_of(parts: Sequence[Pixels], settings: Preprocessing) -> ImageTiles:
    """Of pictures that have the size of a tile already."""
    return ImageTiles(np.stack([normalized(part, settings) for part in parts]))


def read_settings(
    said: Mapping[str, Any], where: str, kinds: Sequence[str], own: Mapping[str, Any], **common: Any
) -> tuple[dict[str, Any], Preprocessing]:
    """Values of `own` keys (their defaults, where nothing is said) of a processor of one of `kinds`, and what it does to each pixel, whose
    defaults are `common` beside CLIP's. Raises PreprocessingError, also for keys that nobody reads, and where images are not resized."""
    kind_of(said, where, kinds)
    given = {key: value for key, value in said.items() if value is not None}
    if given.pop("do_resize", True) is not True or given.pop("do_center_crop", False):
        raise PreprocessingError(f"{where}: do_resize and do_center_crop are not supported as they are said")
    found = {key: given.pop(key, default) for key, default in own.items()}
    usual = {"do_resize": False, "do_center_crop": False, **common}
    return found, preprocessing_of({**usual, **given, "image_processor_type": "CLIPImageProcessor"}, where)


def square_of(size: Any, where: str) -> int:
    """The side that `size` says, of tiles that are as high as wide."""
    match size:
        case {"height": height, "width": width} if height == width:
            return side_of(height, where)
        case {"longest_edge": side} | {"shortest_edge": side} | side:
            return side_of(side, where)
