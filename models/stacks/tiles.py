"""What makes of images the rows that a decoder's layers with `cross` look at: a tower that reads all tiles of one together. T rows of one
image, D columns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.head import DensePart
from models.parts.norms import norm
from models.parts.patches import cut, parameter
from models.spec import CrossVision, TiledTower
from models.stacks.layers import PreLayer

Piece = Callable[[Tensor, Batch], Tensor]


class CrossVisionStack(nn.Module):
    """(tiles_NCHW, arrangement) -> rows_MD of one image, tile by tile, those of black tiles at the end. The same in steps: begin, advance
    until done, end."""

    def __init__(self, spec: CrossVision, tower: "TiledTowerStack", backend: Backend) -> None:
        super().__init__()
        self.spec, self.tower = spec, tower
        self.connector = DensePart("vision.connector", spec.connector, spec.tower.width, backend)

    def forward(self, tiles_NCHW: Tensor, arrangement: tuple[int, int]) -> Tensor:
        state = self.begin(tiles_NCHW, arrangement)
        while not self.done(state):
            state = self.advance(state)
        return self.end(state)

    def begin(self, tiles_NCHW: Tensor, arrangement: tuple[int, int]) -> "TiledState":
        return self.tower.begin(tiles_NCHW, arrangement)

    def done(self, state: "TiledState") -> bool:
        return state.pieces == len(self.tower.pieces)

    def advance(self, state: "TiledState") -> "TiledState":
        return self.tower.advance(state)

    def end(self, state: "TiledState") -> Tensor:
        return self.connector(self.tower.end(state))


@dataclass(frozen=True, eq=False)
class TiledState:
    """An image on its way through so many of the tower's pieces. `number`: of its arrangement."""

    x_TD: Tensor
    batch: Batch
    number: int
    pieces: int = 0
    taken: tuple[Tensor, ...] = ()


class TiledTowerStack(nn.Module):
    def __init__(self, name: str, spec: TiledTower, layers: Sequence[nn.Module], last: Sequence[nn.Module], backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, self.dtype = spec, backend.ops, backend.dtype
        read, of_tiles = spec.input, spec.tiles * spec.dim
        count = len(spec.arrangements)
        self.patches = backend.linear(f"{name}.patches", read.numbers, (spec.dim,), bias=read.bias)
        self.class_token, self.places = parameter(spec.dim), parameter(read.rows, spec.dim)
        self.tile_places, self.of_patches = parameter(count, of_tiles * read.rows), parameter(count, of_tiles)
        self.of_tiles = parameter(count, of_tiles)
        self.embed_norm = norm(spec.embed_norm, spec.dim, backend.ops)
        self.layers, self.norm = nn.ModuleList(layers), norm(spec.norm, spec.dim, backend.ops)
        self.last_layers = nn.ModuleList(last)
        self.pieces = [half for layer in (*layers, *last) for half in _halves(layer)]

    @property
    def filled(self) -> int:
        """Rows of a tile."""
        return -(-self.spec.input.rows // self.spec.multiple) * self.spec.multiple

    def begin(self, tiles_NCHW: Tensor, arrangement: tuple[int, int]) -> TiledState:
        spec, number = self.spec, self.spec.arrangements.index(arrangement)
        rows = spec.input.rows
        read_PI = torch.cat([cut(tile_CHW, spec.input) for tile_CHW in tiles_NCHW]).to(self.dtype)
        black_PI = read_PI.new_zeros((spec.tiles - len(tiles_NCHW)) * (rows - 1), spec.input.numbers)
        x_NPD = self.patches(torch.cat([read_PI, black_PI])).unflatten(0, (spec.tiles, rows - 1))
        x_NPD = x_NPD + self.of_patches[number].view(spec.tiles, 1, -1).to(x_NPD.dtype)
        x_NRD = torch.cat([self.class_token.to(x_NPD.dtype).expand(spec.tiles, 1, -1), x_NPD], 1)
        x_NRD = x_NRD + (self.places + self.tile_places[number].view(spec.tiles, rows, -1)).to(x_NPD.dtype)
        x_NRD = self.embed_norm(x_NRD.flatten(0, 1)).unflatten(0, (spec.tiles, rows))
        return TiledState(F.pad(x_NRD, (0, 0, 0, self.filled - rows)).flatten(0, 1), self._batch(len(tiles_NCHW), x_NRD.device), number)

    def advance(self, state: TiledState) -> TiledState:
        """Through one of the pieces."""
        x_TD, done = self.pieces[state.pieces](state.x_TD, state.batch), state.pieces + 1
        taken = (*state.taken, x_TD) if done % 2 == 0 and done // 2 - 1 in self.spec.taken else state.taken
        if done == 2 * len(self.layers):
            x_TD = self.norm(x_TD).unflatten(0, (self.spec.tiles, -1))
            x_TD = (x_TD + self.of_tiles[state.number].view(self.spec.tiles, 1, -1).to(x_TD.dtype)).flatten(0, 1)
        return replace(state, x_TD=x_TD, pieces=done, taken=taken)

    def end(self, state: TiledState) -> Tensor:
        """Without what fills tiles up."""
        order = sorted(set(self.spec.taken))
        taken = [state.taken[order.index(layer)] for layer in self.spec.taken]
        x_TE = torch.cat([state.x_TD, torch.stack(taken, -1).flatten(1)], -1) if taken else state.x_TD
        return x_TE.unflatten(0, (self.spec.tiles, -1))[:, : self.spec.input.rows].flatten(0, 1)

    def _batch(self, shown: int, device: torch.device) -> Batch:
        rows = self.spec.tiles * self.filled
        marked_NR = torch.zeros(self.spec.tiles, self.filled, dtype=torch.bool, device=device)
        marked_NR[:shown, : self.spec.input.rows] = True
        starts_S1 = torch.tensor([0, rows], dtype=torch.int32, device=device)
        return Batch(torch.arange(rows, device=device), starts_S1, torch.zeros_like(starts_S1[1:]), marked_T=marked_NR.flatten())


def _halves(layer: nn.Module) -> tuple[Piece, Piece]:
    if not isinstance(layer, PreLayer):
        raise TypeError("a layer of a tower of tiles must be pre-norm")
    return layer.mix, layer.feed
