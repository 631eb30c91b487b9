"""Stages of an encoder of images: layers, and behind them squares of four patches' rows that become one, wider row of the next stage."""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import norm
from models.spec import Stage


class StageStack(nn.Module):
    """(x_TD, batch) -> the rows of the next stage, and the batch in which they lie. `width`: of the next stage."""

    def __init__(self, name: str, spec: Stage, layers: Sequence[nn.Module], width: int, backend: Backend) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm(spec.norm, 4 * spec.dim, backend.ops)
        self.merge = backend.linear(f"{name}.merge", 4 * spec.dim, (width,))

    def forward(self, x_TD: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
        for layer in self.layers:
            x_TD = layer(x_TD, batch)
        counts = [height * width for height, width in batch.grids]
        squares = [_squares(rows, grid) for rows, grid in zip(x_TD.split(counts), batch.grids, strict=True)]
        return self.merge(self.norm(torch.cat(squares))), halved(batch)


def halved(batch: Batch) -> Batch:
    """The same images once their squares are rows."""
    grids = tuple(((height + 1) // 2, (width + 1) // 2) for height, width in batch.grids)
    counts = [height * width for height, width in grids]
    device = batch.starts_S1.device
    starts_S1 = torch.tensor([0, *counts], device=device).cumsum(0).int()
    positions_T = torch.cat([torch.arange(count, device=device) for count in counts])
    return replace(batch, positions_T=positions_T, starts_S1=starts_S1, grids=grids)


def _squares(x_PD: Tensor, grid: tuple[int, int]) -> Tensor:
    """Column by column; what is missing at the right and at the bottom is zero."""
    height, width = grid
    x_HWD = F.pad(x_PD.unflatten(0, grid), (0, 0, 0, width % 2, 0, height % 2))
    return torch.cat([x_HWD[line::2, column::2] for column in range(2) for line in range(2)], -1).flatten(0, 1)
