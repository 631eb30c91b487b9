"""What stands before a decoder, or beside it: the encoder of an encoder-decoder, which reads whole inputs, or that of a vision-language
model, which reads images.

The decoder (decoder.py) calls it for the inputs that come in a step; what comes out is for its layers to look at (`cross`), or stands
among its tokens' rows (vision.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.frames import FrameEmbedding
from models.parts.norms import norm
from models.parts.patches import PatchEmbedding
from models.parts.positions import added
from models.spec import Attention, Frames, GridWindow, Layer, OwnEmbedding, Patches, SharedEmbedding, Tower
from models.stacks.layers import PreLayer


class TowerStack(nn.Module):
    """Inputs lie behind one another, as sentences do before an encoder (encoder.py)."""

    def __init__(self, name: str, spec: Tower, layers: list[nn.Module], backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops = spec, backend.ops
        self.embed = _embed(name, spec, backend)
        self.positions = added(f"{name}.positions", spec.position, spec.dim, spec.context, backend)
        self.embed_norm = norm(spec.embed_norm, spec.dim, backend.ops)
        self.layers = nn.ModuleList(layers)
        self.norm = norm(spec.norm, spec.dim, backend.ops)
        self.window = next((size for layer in spec.layers if (size := _window(layer))), None)

    def forward(self, read: Tensor, batch: Batch, shared: nn.Module | None = None) -> Tensor:
        """x_TD after the last norm. read: int64 [T] tokens, float32 [F, C] frames or [P, I] patches. `shared`: the decoder's embedding."""
        state = self.begin(read, batch, shared)
        for number in range(len(self.pieces)):
            state = self.advance(state, number)
        return self.end(state)

    @cached_property
    def pieces(self) -> tuple["Piece", ...]:
        """The layers in their order, or their halves, so that whoever reads something long can do other work between."""
        return tuple(piece for number, layer in enumerate(self.layers) for piece in _pieces(number, layer, self.spec.layers[number]))

    def begin(self, read: Tensor, batch: Batch, shared: nn.Module | None = None) -> "TowerState":
        x_TD = self.embed_norm(self._embedded(read, batch, shared))
        if not batch.grids:
            return TowerState(x_TD, batch, batch)
        places_AT = places(batch.grids).to(x_TD.device)
        if self.window is None:
            batch = replace(batch, places_AT=places_AT)
            return TowerState(x_TD, batch, batch)
        order_T, starts_S1 = (t.to(x_TD.device) for t in squares(batch.grids, self.window))
        batch = replace(batch, places_AT=places_AT[:, order_T])
        positions_T = torch.cat([torch.arange(count) for count in starts_S1.diff().tolist()]).to(x_TD.device)
        windows = replace(batch, positions_T=positions_T, starts_S1=starts_S1, cached_S=torch.zeros_like(starts_S1[1:]))
        return TowerState(x_TD[order_T], batch, windows, order_T)

    def advance(self, state: "TowerState", number: int) -> "TowerState":
        """Through one of the pieces."""
        piece = self.pieces[number]
        return replace(state, x_TD=piece.run(state.x_TD, state.windows if piece.windowed else state.batch))

    def end(self, state: "TowerState") -> Tensor:
        return self.norm(state.in_lines)

    def _embedded(self, read: Tensor, batch: Batch, shared: nn.Module | None) -> Tensor:
        embed = shared if self.embed is None else self.embed
        if embed is None:
            raise ValueError("this encoder reads the decoder's embedding")
        x_TD = embed(read, batch) if isinstance(self.spec.input, Patches) else embed(read)
        if self.spec.embed_scale != 1:
            x_TD = self.ops.scale(x_TD, self.spec.embed_scale)
        return x_TD if self.positions is None else self.ops.add(x_TD, self.positions(batch.positions_T).to(x_TD.dtype))


@dataclass(frozen=True, eq=False)
class Piece:
    """`ends`: the number of the layer that is over with it; None: none is."""

    run: Callable[[Tensor, Batch], Tensor]
    windowed: bool
    ends: int | None


def _pieces(number: int, layer: nn.Module, spec: Layer) -> tuple[Piece, ...]:
    windowed = _window(spec) is not None
    if isinstance(layer, PreLayer):
        return Piece(layer.mix, windowed, None), Piece(layer.feed, windowed, number)
    return (Piece(layer, windowed, number),)


@dataclass(frozen=True, eq=False)
class TowerState:
    """Rows on their way through a tower. `windows`: the batch in which each square of patches (GridWindow) is a sequence; for it rows of
    images lie square by square, and `order_T` says where each was."""

    x_TD: Tensor
    batch: Batch
    windows: Batch
    order_T: Tensor | None = None

    @property
    def in_lines(self) -> Tensor:
        """The rows, line by line."""
        return self.x_TD if self.order_T is None else self.x_TD[self.order_T.argsort()]


def places(grids: Sequence[tuple[int, int]]) -> Tensor:
    """int64 [2, T]: line and column of each patch, without class tokens."""
    return torch.cat([torch.cartesian_prod(torch.arange(height), torch.arange(width)).T for height, width in grids], 1)


def squares(grids: Sequence[tuple[int, int]], size: int) -> tuple[Tensor, Tensor]:
    """Where each patch was, once they lie square by square, and int32 [S + 1] where the squares begin."""
    parts, first = list[Tensor](), 0
    for height, width in grids:
        image_HW = torch.arange(first, first + height * width).view(height, width)
        parts += [part.flatten() for lines in image_HW.split(size) for part in lines.split(size, 1)]
        first += height * width
    return torch.cat(parts), torch.tensor([0, *map(len, parts)]).cumsum(0).int()


def _window(layer: Layer) -> int | None:
    match layer.mixer:
        case Attention(mask=GridWindow(size=size)):
            return size
        case _:
            return None


def _embed(name: str, spec: Tower, backend: Backend) -> nn.Module | None:
    """None: the decoder's is read."""
    match spec.input:
        case SharedEmbedding():
            return None
        case OwnEmbedding(vocab=vocab):
            return backend.embedding(f"{name}.embed", vocab, spec.dim)
        case Frames() as frames:
            return FrameEmbedding(f"{name}.embed", frames, spec, backend)
        case Patches() as patches:
            return PatchEmbedding(f"{name}.embed", patches, spec.dim, backend)
