"""Idefics3 (Laurencon et al. 2024, arXiv 2408.12637) and SmolVLM: a large image in tiles, each named by its row and column, then as a
whole."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import to_size
from retrieval.images.settings import Preprocessing, PreprocessingError
from server.text.images.processor import Part, read_settings, square_of, tiles_of

AROUND, WHOLE = "<fake_token_around_image>", "<global-img>"
LARGEST = 4096  # of a side


@dataclass(frozen=True, slots=True)
class RowsAndColumns:
    settings: Preprocessing
    longest: int  # of an image's sides, which are enlarged, too
    side: int  # of a tile
    splits: bool

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        resized = self._to(pixels, *longest_side(pixels.shape[0], pixels.shape[1], self.longest))
        if low or not self.splits:
            return self._whole(self._to(resized, self.side, self.side))
        filled = self._to(resized, *whole_tiles(resized.shape[0], resized.shape[1], self.side))
        if filled.shape[:2] == (self.side, self.side):
            return self._whole(filled)
        return (*self._tiles(filled), "\n", *self._whole(self._to(filled, self.side, self.side)))

    def _tiles(self, pixels: Pixels) -> Iterator[Part]:
        rows, columns = pixels.shape[0] // self.side, pixels.shape[1] // self.side
        for row in range(rows):
            for column in range(columns):
                top, left = row * self.side, column * self.side
                yield f"{AROUND}<row_{row + 1}_col_{column + 1}>"
                yield tiles_of([pixels[top : top + self.side, left : left + self.side]], self.settings)
            yield "\n"

    def _whole(self, pixels: Pixels) -> tuple[Part, ...]:
        return AROUND + WHOLE, tiles_of([pixels], self.settings), AROUND

    def _to(self, pixels: Pixels, height: int, width: int) -> Pixels:
        return to_size(pixels, height, width, self.settings.filter)


def idefics3(said: Mapping[str, Any], where: str) -> RowsAndColumns:
    """Raises PreprocessingError."""
    own = {"size": {"longest_edge": 4 * 364}, "max_image_size": {"longest_edge": 364}, "do_image_splitting": True}
    unused = {"do_pad": True, "return_row_col_info": None, "video_sampling": None}  # of batches and of videos
    half = [0.5, 0.5, 0.5]
    found, settings = read_settings(said, where, ("Idefics3", "SmolVLM"), {**own, **unused}, resample=1, image_mean=half, image_std=half)
    if "longest_edge" not in found["size"]:
        raise PreprocessingError(f"{where}: size = {found['size']!r} must be how long the longest_edge is")
    longest, side = square_of(found["size"], f"{where}: size"), square_of(found["max_image_size"], f"{where}: max_image_size")
    return RowsAndColumns(settings, longest, side, bool(found["do_image_splitting"]))


def longest_side(height: int, width: int, longest: int) -> tuple[int, int]:
    """Of an image whose longer side becomes so long; the other one is even, unless that is more than may be."""
    ratio = width / height
    if width >= height:
        width, height = longest, _even(int(longest / ratio))
    else:
        height, width = longest, _even(int(longest * ratio))
    height, width = max(height, 1), max(width, 1)
    ratio = width / height
    if width >= height and width > LARGEST:
        width, height = LARGEST, int(LARGEST / ratio)
    elif height > width and height > LARGEST:
        height, width = LARGEST, int(LARGEST * ratio)
    return max(height, 1), max(width, 1)


def whole_tiles(height: int, width: int, side: int) -> tuple[int, int]:
    ratio = width / height
    if width >= height:
        width = ceil(width / side) * side
        return ceil(int(width / ratio) / side) * side, width
    height = ceil(height / side) * side
    return height, ceil(int(height * ratio) / side) * side


def _even(side: int) -> int:
    return side + side % 2
