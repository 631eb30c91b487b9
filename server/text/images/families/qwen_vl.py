"""Qwen2-VL (Wang et al. 2024, arXiv 2409.12191) and its successors: an image in about its own size, in whole cells of merged patches."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, floor, sqrt
from typing import Any

from retrieval.images.decoder import Pixels
from retrieval.images.limits import ImageError
from retrieval.images.preprocess import to_size
from retrieval.images.settings import Preprocessing, PreprocessingError, side_of
from server.text.images.processor import Part, read_settings, tiles_of

LONGEST = 200  # times as long as wide
LOW_CELLS = 256  # of an image of which little is to be seen


@dataclass(frozen=True, slots=True)
class AnySize:
    """`least`, `most`: pixels."""

    settings: Preprocessing
    cell: int  # pixels of a side
    least: int
    most: int

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        most = max(self.least, min(self.most, LOW_CELLS * self.cell**2)) if low else self.most
        height, width = smart_size(pixels.shape[0], pixels.shape[1], self.cell, self.least, most)
        return (tiles_of([to_size(pixels, height, width, self.settings.filter)], self.settings),)


def qwen_vl(said: Mapping[str, Any], where: str) -> AnySize:
    """Raises PreprocessingError."""
    own: dict[str, Any] = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2, "size": {}, "min_pixels": None, "max_pixels": None}
    found, settings = read_settings(said, where, ("Qwen2VL",), own)
    size = dict(found["size"])
    least = found["min_pixels"] or size.pop("shortest_edge", None) or size.pop("min_pixels", 56 * 56)
    most = found["max_pixels"] or size.pop("longest_edge", None) or size.pop("max_pixels", 28 * 28 * 1280)
    cell = side_of(found["patch_size"], f"{where}: patch_size") * side_of(found["merge_size"], f"{where}: merge_size")
    if not isinstance(least, int) or not isinstance(most, int) or not 0 < least <= most:
        raise PreprocessingError(f"{where}: size must say how many pixels an image has at least and at most, not {found['size']!r}")
    return AnySize(settings, cell, least, most)


def smart_size(height: int, width: int, cell: int, least: int, most: int) -> tuple[int, int]:
    """Height and width in whole cells. Raises ImageError."""
    if max(height, width) > LONGEST * min(height, width):
        raise ImageError(
            f"the image is {max(height, width) // min(height, width)} times as long as wide; {LONGEST} times is the most", "image_too_large"
        )
    rows, columns = round(height / cell) * cell, round(width / cell) * cell
    if rows * columns > most:
        scale = sqrt(height * width / most)
        return max(cell, floor(height / scale / cell) * cell), max(cell, floor(width / scale / cell) * cell)
    if rows * columns < least:
        scale = sqrt(least / (height * width))
        return ceil(height * scale / cell) * cell, ceil(width * scale / cell) * cell
    return rows, columns
