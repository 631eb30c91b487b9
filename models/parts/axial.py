"""Axial positions (Reformer, arXiv 2001.04451): rows of two tables beside one another."""

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.spec import Axial


class AxialPositions(nn.Module):
    """positions_T -> x_TD: the position's row of one table beside its column of the other."""

    def __init__(self, name: str, spec: Axial, backend: Backend) -> None:
        super().__init__()
        self._columns = spec.columns
        self.rows = backend.embedding(f"{name}.rows", spec.rows, spec.row_dim)
        self.columns = backend.embedding(f"{name}.columns", spec.columns, spec.column_dim)

    def forward(self, positions_T: Tensor) -> Tensor:
        return torch.cat([self.rows(positions_T // self._columns), self.columns(positions_T % self._columns)], -1)
