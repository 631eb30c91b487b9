"""Vision: what makes of images the rows that stand among those of a decoder's tokens."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.head import DensePart
from models.parts.norms import norm
from models.spec import Dense, Mean, Merge, Norm, Step, Vision, filled
from models.stacks.tower import TowerStack, TowerState


class VisionStack(nn.Module):
    """Tiles of a step's images lie behind one another (models/images.py). N rows are made of all of them."""

    def __init__(self, spec: Vision, tower: TowerStack, dim: int, backend: Backend) -> None:
        """`dim`: of the decoder's rows."""
        super().__init__()
        self.spec, self.tower = spec, tower
        self.connector = Connector("vision.connector", spec.connector, spec.tower.dim, backend)
        deep = (Connector(f"vision.deep.{i}", each.connector, spec.tower.dim, backend) for i, each in enumerate(spec.deep))
        self.deep = nn.ModuleList(deep)
        self.newline = nn.Parameter(torch.empty(dim, dtype=torch.float32), requires_grad=False) if spec.newline else None

    def forward(self, read_PI: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        """rows_ND, and those for each of the decoder's first layers that takes some. The same in steps: begin, advance until done, end."""
        state = self.begin(read_PI, batch)
        while not self.done(state):
            state = self.advance(state)
        return self.end(state)

    def begin(self, read_PI: Tensor, batch: Batch) -> "VisionState":
        return VisionState(self.tower.begin(read_PI, batch), batch)

    def done(self, state: "VisionState") -> bool:
        return state.pieces == len(self.tower.pieces)

    def advance(self, state: "VisionState") -> "VisionState":
        """Through one piece of the tower."""
        tower, over = self.tower.advance(state.tower, state.pieces), self.tower.pieces[state.pieces].ends
        taken = [part for each, part in zip(self.spec.deep, self.deep, strict=True) if each.layer == over]
        deep = (part(self._patches(tower.in_lines, state.batch), state.batch) for part in taken)
        return VisionState(tower, state.batch, state.pieces + 1, (*state.deep, *deep))

    def end(self, state: "VisionState") -> tuple[Tensor, ...]:
        return self.connector(self._patches(self.tower.end(state.tower), state.batch), state.batch), *state.deep

    def laid_out(self, rows_ND: Tensor, height: int, picture: tuple[tuple[int, int], tuple[int, int]]) -> Tensor:
        """Of one image in several tiles, whose first shows all of it, and whose others lie in a grid (lines and columns of tiles), filled
        up around a picture of some size: those rows of the grid that show it, with one that ends each line, behind those of the first.
        `height`: of a tile, in pixels."""
        if self.newline is None:
            return rows_ND
        (tiles_down, tiles_across), size = picture
        if not tiles_down:
            return torch.cat([rows_ND, self.newline.to(rows_ND.dtype)[None]])
        lines = height // self.spec.patches.size // self.spec.merge
        columns = len(rows_ND) // (1 + tiles_down * tiles_across) // lines
        first_ND, rest_ND = rows_ND.split([lines * columns, len(rows_ND) - lines * columns])
        map_HWD = rest_ND.unflatten(0, (tiles_down, tiles_across, lines, columns)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
        shown, width = filled(size, (tiles_down * lines, tiles_across * columns))
        above, before = (map_HWD.shape[0] - shown) // 2, (map_HWD.shape[1] - width) // 2
        shown_HWD = map_HWD[above : above + shown, before : before + width]
        ends_H1D = self.newline.to(rows_ND.dtype).expand(shown, 1, -1)
        return torch.cat([first_ND, torch.cat([shown_HWD, ends_H1D], 1).flatten(0, 1)])

    def _patches(self, x_TD: Tensor, batch: Batch) -> Tensor:
        """x_PD, without class tokens."""
        if not self.spec.patches.class_token:
            return x_TD
        return torch.cat([rows[1:] for rows in x_TD.split([height * width + 1 for height, width in batch.grids])])


@dataclass(frozen=True, eq=False)
class VisionState:
    """Images on their way through so many `pieces` of the tower."""

    tower: TowerState
    batch: Batch
    pieces: int = 0
    deep: tuple[Tensor, ...] = ()


class Connector(nn.Module):
    """(x_PD, batch) -> rows_ND"""

    def __init__(self, name: str, spec: Sequence[Step], dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.steps = tuple(spec), nn.ModuleList()
        for i, step in enumerate(spec):
            match step:
                case Norm():
                    self.steps.append(norm(step, dim, backend.ops))
                case Dense(width=width):
                    self.steps.append(DensePart(f"{name}.steps.{i}", step, dim, backend))
                    dim = width
                case Merge(side=side):
                    self.steps.append(nn.Identity())
                    dim *= side * side
                case Mean():
                    self.steps.append(nn.Identity())

    def forward(self, x_PD: Tensor, batch: Batch) -> Tensor:
        grids = batch.grids
        for step, part in zip(self.spec, self.steps, strict=True):
            if isinstance(step, Merge | Mean):
                x_PD = torch.cat([joined(rows, grid, step) for rows, grid in zip(x_PD.split(_counts(grids)), grids, strict=True)])
                grids = tuple((height // step.side, width // step.side) for height, width in grids)
            else:
                x_PD = part(x_PD)
        return x_PD


def _counts(grids: Sequence[tuple[int, int]]) -> list[int]:
    return [height * width for height, width in grids]


def joined(x_PD: Tensor, grid: tuple[int, int], step: Merge | Mean) -> Tensor:
    """Of one image's rows; lines and columns that fill no square are left out."""
    side, (lines, columns) = step.side, (count // step.side for count in grid)
    x_HWD = x_PD.unflatten(0, grid)[: lines * side, : columns * side]
    x_NSD = x_HWD.unflatten(0, (lines, side)).unflatten(2, (columns, side)).transpose(1, 2).flatten(0, 1).flatten(1, 2)
    return x_NSD.flatten(1) if isinstance(step, Merge) else x_NSD.float().mean(1).to(x_PD.dtype)
