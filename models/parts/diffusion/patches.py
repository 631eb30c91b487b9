"""Pictures as rows, and back. N pictures of C channels, H high and W wide; M patches of each, P pixels wide and high."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def rows_of(x_NCHW: Tensor, patch: int) -> Tensor:
    """[N * M, C * P * P], patches as one reads."""
    n, c, h, w = x_NCHW.shape
    return x_NCHW.view(n, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)


def picture_of(y_TO: Tensor, patch: int, grid: tuple[int, int]) -> Tensor:
    """y_NCHW of rows [N * M, P * P * C] that have channels last. `grid`: lines and columns of patches."""
    y_NHWPPC = y_TO.unflatten(1, (patch, patch, -1)).unflatten(0, (-1, *grid))
    return y_NHWPPC.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def grid_of(x_NCHW: Tensor, patch: int) -> tuple[int, int]:
    """Lines and columns of patches."""
    return x_NCHW.shape[2] // patch, x_NCHW.shape[3] // patch


def grid_sinusoids(dim: int, side: int) -> Tensor:
    """float32 [side * side, dim]: of each patch's column the sines and cosines, in half of the numbers, and in the others of its row
    (Vaswani et al. 2017, arXiv 1706.03762, in two dimensions)."""
    at = torch.arange(side, dtype=torch.float64)
    return grid_sinusoids_of(dim, at, at)


def grid_sinusoids_of(dim: int, lines: Tensor, columns: Tensor) -> Tensor:
    """The same, [lines * columns, dim], where these lie at such places, float64."""
    frequencies = 10_000 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    across, down = (torch.cat([angles.sin(), angles.cos()], 1) for angles in (at[:, None] * frequencies for at in (columns, lines)))
    columns_HWD, lines_HWD = across[None].expand(len(lines), -1, -1), down[:, None].expand(-1, len(columns), -1)
    return torch.cat([columns_HWD, lines_HWD], 2).flatten(0, 1).float()


class LastGrid(Generic[T]):
    """What `make` makes of a grid of patches. A step's pictures are as large as those of the step before, mostly: it remembers one."""

    def __init__(self, make: Callable[[tuple[int, int]], T]) -> None:
        self._make = make
        self._last: tuple[tuple[int, int], T] | None = None

    def __call__(self, grid: tuple[int, int]) -> T:
        if self._last is None or self._last[0] != grid:
            self._last = grid, self._make(grid)
        return self._last[1]
