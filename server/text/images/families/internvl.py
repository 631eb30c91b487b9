"""InternVL (Chen et al. 2024, arXiv 2404.16821): an image in tiles whose grid has about its proportions, then as a whole."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from retrieval.images.decoder import Pixels
from retrieval.images.preprocess import to_size
from retrieval.images.settings import Preprocessing, PreprocessingError
from server.text.images.processor import Part, read_settings, square_of, tiles_of

BEGIN, END = "<img>", "</img>"


@dataclass(frozen=True, slots=True)
class Thumbnailed:
    settings: Preprocessing
    side: int  # of a tile
    least: int  # tiles, without the whole image
    most: int

    def __call__(self, pixels: Pixels, *, low: bool) -> tuple[Part, ...]:
        least, most = (1, 1) if low else (self.least, self.most)
        rows, columns = best_grid((pixels.shape[0], pixels.shape[1]), self.side, least, most)
        large = self._to(pixels, rows * self.side, columns * self.side)
        places = [(row * self.side, column * self.side) for row in range(rows) for column in range(columns)]
        tiles = [large[top : top + self.side, left : left + self.side] for top, left in places]
        tiles += [self._to(pixels, self.side, self.side)] if len(tiles) > 1 else []
        return BEGIN, tiles_of(tiles, self.settings), END

    def _to(self, pixels: Pixels, height: int, width: int) -> Pixels:
        return to_size(pixels, height, width, self.settings.filter)


def internvl(said: Mapping[str, Any], where: str) -> Thumbnailed:
    """Raises PreprocessingError. Images are cut whatever `crop_to_patches` says: so does the model's own processor."""
    own = {"size": {"height": 384, "width": 384}, "min_patches": 1, "max_patches": 12, "crop_to_patches": True}
    found, settings = read_settings(said, where, ("GotOcr2",), own)
    least, most = found["min_patches"], found["max_patches"]
    if not isinstance(least, int) or not isinstance(most, int) or not 0 < least <= most:
        raise PreprocessingError(f"{where}: min_patches = {least!r} and max_patches = {most!r} must be numbers of tiles")
    return Thumbnailed(settings, square_of(found["size"], f"{where}: size"), least, most)


def best_grid(size: tuple[int, int], side: int, least: int, most: int) -> tuple[int, int]:
    """Rows and columns. Of grids with the same proportions a larger one is taken where the image has more than half of its pixels."""
    height, width = size
    sides = range(1, most + 1)
    grids = sorted(
        ((rows, columns) for columns in sides for rows in sides if least <= rows * columns <= most), key=lambda grid: grid[0] * grid[1]
    )
    best, found = float("inf"), (1, 1)
    for rows, columns in grids:
        difference = abs(width / height - columns / rows)
        if difference < best or (difference == best and width * height > 0.5 * side * side * rows * columns):
            best, found = difference, (rows, columns)
    return found
