"""Images in place of tokens. P patches of all images of a step, I numbers of a patch, T rows: those of the patches, and one more for each
image where there is a class token."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.spec import Grid, Patches


class PatchEmbedding(nn.Module):
    """(read_PI, batch) -> x_TD. `batch.grids` says how many lines and columns of patches each image has."""

    def __init__(self, name: str, spec: Patches, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.dtype, self.ops = spec, backend.dtype, backend.ops
        self.patches = backend.linear(f"{name}.patches", spec.numbers, (dim,), bias=spec.bias)
        self.class_token = parameter(dim) if spec.class_token else None
        self.positions = None if spec.grid is None else parameter(spec.class_token + spec.grid.count, dim)

    def forward(self, read_PI: Tensor, batch: Batch) -> Tensor:
        x_TD = self._with_class_tokens(self.patches(read_PI.to(self.dtype)), batch)
        if self.positions is None or self.spec.grid is None:
            return x_TD
        places = {grid: self._places(self.positions, self.spec.grid, grid) for grid in set(batch.grids)}
        return self.ops.add(x_TD, torch.cat([places[grid] for grid in batch.grids]).to(x_TD.dtype))

    def _with_class_tokens(self, x_PD: Tensor, batch: Batch) -> Tensor:
        if self.class_token is None:
            return x_PD
        rows, first_1D = x_PD.split([height * width for height, width in batch.grids]), self.class_token[None].to(x_PD.dtype)
        return torch.cat([part for patches in rows for part in (first_1D, patches)])

    def _places(self, positions_PD: Tensor, table: Grid, grid: tuple[int, int]) -> Tensor:
        """Of the rows of an image with this grid."""
        first = int(self.spec.class_token)
        return torch.cat([positions_PD[:first], stretched(positions_PD[first:], table, grid)])


def stretched(table_PD: Tensor, spec: Grid, grid: tuple[int, int]) -> Tensor:
    """The table over another grid of (lines, columns)."""
    if grid == (spec.rows, spec.columns):
        return table_PD
    table_1DHW = table_PD.unflatten(0, (spec.rows, spec.columns)).permute(2, 0, 1)[None]
    if spec.stretch == "corners":
        made_1DHW = F.interpolate(table_1DHW, grid, mode="bilinear", align_corners=True)
    else:
        made_1DHW = F.interpolate(table_1DHW, grid, mode=spec.stretch, align_corners=False, antialias=spec.stretch == "bilinear")
    return made_1DHW[0].flatten(1).T


def cut(image_CHW: Tensor, spec: Patches) -> Tensor:
    """[P, I]: a patch's numbers lie as those of a convolution's filter, by channels, then lines, then columns."""
    size = spec.size
    height, width = (side // size for side in image_CHW.shape[1:])
    whole_CHW = image_CHW[:, : height * size, : width * size]
    return whole_CHW.unflatten(1, (height, size)).unflatten(3, (width, size)).permute(1, 3, 0, 2, 4).reshape(height * width, spec.numbers)


def parameter(*shape: int) -> nn.Parameter:
    """float32, to be filled by whoever loads weights."""
    return nn.Parameter(torch.empty(*shape, dtype=torch.float32), requires_grad=False)
