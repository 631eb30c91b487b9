"""What an encoder of images reads."""

from typing import Literal

from models.spec.value import spec


@spec
class Grid:
    """A row for each place of a grid, added to the patch that lies there. An image with another grid has the table stretched over it:
    bicubic, or bilinear with antialiasing, or bilinear with the table's corners in the image's ("corners")."""

    rows: int
    columns: int
    stretch: Literal["bicubic", "bilinear", "corners"] = "bicubic"

    @property
    def count(self) -> int:
        return self.rows * self.columns


@spec
class Patches:
    """An image cut into squares of `size` pixels a side, line by line: a matrix makes a row of each one's channels * size * size numbers
    (ViT; Dosovitskiy et al. 2020, arXiv 2010.11929). `class_token`: before an image's rows stands one that is the same for all images,
    with a position of its own."""

    size: int
    grid: Grid | None = None  # None: no rows are added; where a patch lies, the layers hear by their rotary positions
    channels: int = 3
    bias: bool = True
    class_token: bool = False

    @property
    def rows(self) -> int:
        """That are made of an image of the grid that it was trained with; of none, where there is no table."""
        return 0 if self.grid is None else self.grid.count + self.class_token

    @property
    def numbers(self) -> int:
        """Of one patch."""
        return self.channels * self.size**2


# what turns an encoder's rows into those that stand among a decoder's tokens, besides norms and matrices (Dense)


@spec
class Merge:
    """The rows of `side` * `side` neighbouring patches side by side as one, line by line (pixel shuffle: Shi et al. 2016, arXiv 1609.05158;
    Qwen2-VL, arXiv 2409.12191)."""

    side: int


@spec
class Mean:
    """The mean of the rows of `side` * `side` neighbouring patches."""

    side: int


def filled(size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Of a picture of `size` in the middle of a grid of (lines, columns): those that show it and not what it was filled up with."""
    (height, width), (lines, columns) = size, grid
    if width * lines > height * columns:
        return lines - 2 * ((lines - int(round(height * (columns / width), 7))) // 2), columns
    return lines, columns - 2 * ((columns - int(round(width * (lines / height), 7))) // 2)
