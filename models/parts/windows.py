"""Swin's attention. N images of H lines and W columns of patches, S windows of M patches."""

from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.patches import parameter
from models.spec import ShiftedWindowAttention


class ShiftedWindowPart(nn.Module):
    """x_TD -> x_TD, of the images that `batch.grids` names."""

    def __init__(self, name: str, spec: ShiftedWindowAttention, dim: int, backend: Backend) -> None:
        super().__init__()
        inner = spec.heads * spec.head_dim
        self.spec = spec
        self.qkv = backend.linear(f"{name}.qkv", dim, (inner,) * 3, bias=spec.bias)
        self.distances = parameter(spec.distances, spec.heads)
        self.out = backend.linear(f"{name}.out", inner, (dim,), bias=True, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        """Images of the same size that follow one another are computed at once."""
        runs, first, out = [(grid, len(list(same))) for grid, same in groupby(batch.grids)], 0, list[Tensor]()
        for (height, width), count in runs:
            rows = x_TD[first : first + count * height * width]
            out.append(self._images(rows.view(count, height, width, -1)).flatten(0, 2))
            first += len(rows)
        return torch.cat(out)

    def _images(self, x_NHWD: Tensor) -> Tensor:
        size, (height, width) = self.spec.window, x_NHWD.shape[1:3]
        shift = self.spec.shift if min(height, width) > size else 0
        x_NHWD = F.pad(x_NHWD, (0, 0, 0, -width % size, 0, -height % size))
        grid = (x_NHWD.shape[1], x_NHWD.shape[2])
        y_SMD = self._attend(cut(x_NHWD.roll((-shift, -shift), (1, 2)), size), grid, shift)
        return joined(y_SMD, grid, size).roll((shift, shift), (1, 2))[:, :height, :width].contiguous()

    def _attend(self, x_SMD: Tensor, grid: tuple[int, int], shift: int) -> Tensor:
        spec = self.spec
        q, k, v = self.qkv(x_SMD.flatten(0, 1)).view(*x_SMD.shape[:2], 3, spec.heads, spec.head_dim).permute(2, 0, 3, 1, 4)
        bias_1HMM = self.distances[between(spec.window).to(x_SMD.device)].permute(2, 0, 1)[None]
        if shift:
            apart_SMM = apart(grid, spec.window, shift).to(x_SMD.device).repeat(len(x_SMD) * spec.window**2 // (grid[0] * grid[1]), 1, 1)
            bias_1HMM = bias_1HMM.masked_fill(apart_SMM[:, None], -torch.inf)
        out_SHMK = F.scaled_dot_product_attention(q, k, v, attn_mask=bias_1HMM.to(q.dtype))
        return self.out(out_SHMK.transpose(1, 2).flatten(2).flatten(0, 1)).view(*x_SMD.shape[:2], -1)


def cut(x_NHWD: Tensor, size: int) -> Tensor:
    """x_SMD: the squares of each image, line by line."""
    return x_NHWD.unflatten(1, (-1, size)).unflatten(3, (-1, size)).transpose(2, 3).flatten(0, 2).flatten(1, 2)


def joined(x_SMD: Tensor, grid: tuple[int, int], size: int) -> Tensor:
    """x_NHWD of as many squares."""
    lines, columns = (side // size for side in grid)
    return x_SMD.view(-1, lines, columns, size, size, x_SMD.shape[-1]).transpose(2, 3).flatten(1, 2).flatten(2, 3)


def between(size: int) -> Tensor:
    """int64 [M, M]: the row of the table for the distance from each patch of a square to each other one."""
    at_M2 = torch.cartesian_prod(torch.arange(size), torch.arange(size))
    distance_MM2 = at_M2[:, None] - at_M2[None] + size - 1
    return distance_MM2[..., 0] * (2 * size - 1) + distance_MM2[..., 1]


def apart(grid: tuple[int, int], size: int, shift: int) -> Tensor:
    """bool [S, M, M], of one image: patches that lie in one square only because the image was moved round by `shift`."""
    lines, columns = (region(side, size, shift) for side in grid)
    of_SM1 = cut((lines[:, None] * 3 + columns)[None, :, :, None], size)
    return of_SM1 != of_SM1.transpose(1, 2)


def region(side: int, size: int, shift: int) -> Tensor:
    at = torch.arange(side)
    return (at >= side - size).long() + (at >= side - shift).long()
