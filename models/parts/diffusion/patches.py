"""Pictures as rows, and back. N pictures of C channels, H high and W wide; M patches of each, P pixels wide and high."""

import torch
from torch import Tensor


def rows_of(x_NCHW: Tensor, patch: int) -> Tensor:
    """[N * M, C * P * P], patches as one reads."""
    n, c, h, w = x_NCHW.shape
    return x_NCHW.view(n, c, h // patch, patch, w // patch, patch).permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(0, 2)


def picture_of(y_TO: Tensor, patch: int, high: int) -> Tensor:
    """y_NCHW of rows [N * M, P * P * C] that have channels last. `high`: patches above one another."""
    y_NHWPPC = y_TO.unflatten(1, (patch, patch, -1)).unflatten(0, (-1, high, high))
    return y_NHWPPC.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def grid_sinusoids(dim: int, side: int) -> Tensor:
    """float32 [side * side, dim]: of each patch's column the sines and cosines, in half of the numbers, and in the others of its row
    (Vaswani et al. 2017, arXiv 1706.03762, in two dimensions)."""
    return grid_sinusoids_of(dim, torch.arange(side, dtype=torch.float64))


def grid_sinusoids_of(dim: int, at: Tensor) -> Tensor:
    """The same where lines and columns lie at these places, float64 [side]."""
    side, frequencies = len(at), 10_000 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angles_SF = at[:, None] * frequencies
    waves_SD = torch.cat([angles_SF.sin(), angles_SF.cos()], 1)
    columns, rows = waves_SD[None].expand(side, -1, -1), waves_SD[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], 2).flatten(0, 1).float()
