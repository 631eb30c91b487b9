"""What an encoder of images reads."""

from typing import Literal

from models.spec.value import spec


@spec
class Grid:
    """A row for each place of a grid, added to the patch that lies there. An image with another grid has the table stretched over it:
    bicubic, or bilinear with antialiasing."""

    rows: int
    columns: int
    stretch: Literal["bicubic", "bilinear"] = "bicubic"

    @property
    def count(self) -> int:
        return self.rows * self.columns


@spec
class Patches:
    """An image cut into squares of `size` pixels a side, line by line: a matrix makes a row of each one's channels * size * size numbers
    (ViT; Dosovitskiy et al. 2020, arXiv 2010.11929). `class_token`: before an image's rows stands one that is the same for all images,
    with a position of its own."""

    size: int
    grid: Grid
    channels: int = 3
    bias: bool = True
    class_token: bool = False

    @property
    def numbers(self) -> int:
        """Of one patch."""
        return self.channels * self.size**2
