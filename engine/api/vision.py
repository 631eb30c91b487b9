"""Images among a prompt's tokens: how an engine is handed them, and how many rows it makes of them. No torch."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.spec import filled


def digest_of(shape: object, numbers: NDArray[np.float32]) -> bytes:
    """Of an array's contents."""
    told = hashlib.blake2b(repr(shape).encode(), digest_size=16)
    told.update(np.ascontiguousarray(numbers, np.float32).data)
    return told.digest()


@dataclass(frozen=True, slots=True, eq=False)
class ImageTiles:
    """An image as a model reads it among its tokens: float32 [tiles, channels, height, width], cut, resized and scaled as it was trained
    on. Where the tiles behind the first are parts of one picture, `grid` says in how many lines and columns they lie, and `size` its
    height and width before it was filled up to that grid (LLaVA-NeXT). Equal where contents are."""

    values: NDArray[np.float32]
    grid: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    digest: bytes = field(init=False, repr=False)  # of the contents

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest_of((self.values.shape, self.grid, self.size), self.values))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImageTiles) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedImage:
    """Its rows stand in the place of so many of `Request.tokens`, from number `at` on."""

    image: ImageTiles
    at: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossInfo:
    """Of images that layers look at, and whose rows do not stand among the tokens. `rows`: that are made of each; `most`: of all images of
    a request together. `arrangements`: lines and columns that an image's tiles may lie in (`ImageTiles.grid`)."""

    rows: int
    most: int
    arrangements: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisionInfo:
    """Of a model that reads images (`Request.images`)."""

    marker: int  # the token that stands in the place of each of an image's rows, or once for an image that is looked at
    channels: int
    patch: int  # pixels a side
    merge: int  # a row is made of so many patches a side; the sides of a tile are multiples of both together
    side: int | None  # pixels of a tile's sides, where all have the same; None: any
    rows: int  # that are made of an image at most
    sees: Literal["before", "image", "prompt"] = "before"  # what an image's tokens see besides those before them
    newline: bool = False  # tiles that are parts of one picture become lines of it, each with one more row behind it

    cross: CrossInfo | None = None  # None: rows stand among the tokens

    def rows_of(self, image: ImageTiles) -> int:
        """Tokens that stand for it."""
        if self.cross is not None:
            return 1
        tiles, _, height, width = image.values.shape
        lines, columns = (side // self.patch // self.merge for side in (height, width))
        if not self.newline or image.grid == (0, 0):
            return tiles * lines * columns + self.newline
        whole = filled(image.size, (image.grid[0] * lines, image.grid[1] * columns))
        return lines * columns + whole[0] * (whole[1] + 1)
