"""MMDiT and Flux: a transformer over a picture's patches and a text's rows. N pictures, T rows of all, L a text's rows, D model."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.diffusion.conditioning import TimeEmbedding, gated, shifted
from models.parts.diffusion.joint import Stream, look, rotary_table
from models.parts.diffusion.patches import LastGrid, grid_of, grid_sinusoids_of, picture_of, rows_of
from models.parts.diffusion.pixel_attention import of_pictures
from models.parts.ffn import FeedForward
from models.spec import MLP
from models.spec.diffusion import FixedGrid, Mmdit, OneStream, RotaryGrid, Sinusoids, TwoStreams

EPS = 1e-6  # of all norms
TIMES = Sinusoids()


@dataclass(frozen=True, eq=False)
class Prompted:
    """times_N: as training counts them; text_NLX and pooled_NX: what was made of each picture's text; guidance_N: of models that are told
    it."""

    times_N: Tensor
    text_NLX: Tensor
    pooled_NX: Tensor
    guidance_N: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Rows:
    """Of pictures, and of texts."""

    x_TD: Tensor
    c_TD: Tensor
    given_ND: Tensor  # what is told, activated
    rotary: tuple[Tensor, Tensor] | None
    batch: Batch  # of the pictures

    @property
    def count(self) -> int:
        return len(self.given_ND)


class MmditStack(nn.Module):
    """(x_NCHW, told) -> y_NCHW, what the model says."""

    def __init__(self, spec: Mmdit, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, self.dtype = spec, backend.ops, backend.dtype
        pixels, dim = spec.patch**2, spec.dim
        self.patch = backend.linear("patch", spec.channels * pixels, (dim,), bias=True)
        self.text = backend.linear("text", spec.text, (dim,), bias=True)
        self.time = TimeEmbedding("time", TIMES, dim, backend)
        self.guidance = TimeEmbedding("guidance", TIMES, dim, backend) if spec.guidance else None
        self.pooled_into = backend.linear("pooled_into", spec.pooled, (dim,), bias=True)
        self.pooled_out = backend.linear("pooled_out", dim, (dim,), bias=True)
        self.layers = nn.ModuleList(_layer(f"layers.{i}", layer, dim, backend) for i, layer in enumerate(spec.layers))
        self.modulation = backend.linear("modulation", dim, (dim, dim), bias=True)
        self.head = backend.linear("head", dim, (pixels * spec.out_channels,), bias=True)
        self.places, self.turns = LastGrid(self._places), LastGrid(self._turns)

    def forward(self, x_NCHW: Tensor, told: Prompted) -> Tensor:
        grid, given_ND = grid_of(x_NCHW, self.spec.patch), self.ops.activate(self._given(told), "silu")
        x_TD, c_TD = self.patch(rows_of(x_NCHW.to(self.dtype), self.spec.patch)), self.text(told.text_NLX.to(self.dtype).flatten(0, 1))
        if isinstance(self.spec.position, FixedGrid):
            x_TD = self.ops.add(x_TD, self.places(grid).to(x_TD).repeat(len(x_NCHW), 1))
        batch = of_pictures(len(x_NCHW), grid[0] * grid[1], x_TD.device)
        rows = Rows(x_TD, c_TD, given_ND, self._rotary(told.text_NLX.shape[1], grid, x_TD.device), batch)
        for layer in self.layers:
            rows = layer(rows)
        scale_ND, shift_ND = self.modulation(given_ND).chunk(2, 1)
        y_TO = self.head(shifted(self.ops.layer_norm(rows.x_TD, None, None, EPS), shift_ND, scale_ND))
        if self.spec.order == "channels_first":
            y_TO = y_TO.unflatten(1, (self.spec.out_channels, -1)).transpose(1, 2).flatten(1)
        return picture_of(y_TO, self.spec.patch, grid)

    def _given(self, told: Prompted) -> Tensor:
        y_ND = self.time(told.times_N)
        if self.guidance is not None and told.guidance_N is not None:
            y_ND = y_ND + self.guidance(1000 * told.guidance_N)
        return y_ND + self.pooled_out(self.ops.activate(self.pooled_into(told.pooled_NX.to(self.dtype)), "silu"))

    def _places(self, grid: tuple[int, int]) -> Tensor:
        assert isinstance(self.spec.position, FixedGrid)
        return _cropped(self.spec.position, self.spec.dim, grid)

    def _rotary(self, text: int, grid: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor] | None:
        """Of a text's rows, which are not turned, and of patches."""
        if not isinstance(self.spec.position, RotaryGrid):
            return None
        cos_MK, sin_MK = self.turns(grid)
        still = torch.ones(text, cos_MK.shape[1])
        return torch.cat([still, cos_MK]).to(device), torch.cat([still * 0, sin_MK]).to(device)

    def _turns(self, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        assert isinstance(self.spec.position, RotaryGrid)
        lines, columns = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
        places_MA = torch.stack([torch.zeros_like(lines), lines, columns], -1).flatten(0, 1)
        return rotary_table(places_MA, self.spec.position.dims, self.spec.position.base)


def _layer(name: str, spec: TwoStreams | OneStream, dim: int, backend: Backend) -> nn.Module:
    return TwoStreamLayer(name, spec, dim, backend) if isinstance(spec, TwoStreams) else OneStreamLayer(name, spec, dim, backend)


class TwoStreamLayer(nn.Module):
    """rows -> rows"""

    def __init__(self, name: str, spec: TwoStreams, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, sizes = spec, backend.ops, (dim, spec.heads, spec.head_dim)
        ffn = MLP(hidden=spec.hidden, activation="gelu_tanh", gated=False, bias=True)
        self.x_modulation = backend.linear(f"{name}.x_modulation", dim, (dim,) * (9 if spec.again else 6), bias=True)
        self.c_modulation = backend.linear(f"{name}.c_modulation", dim, (dim,) * (2 if spec.last else 6), bias=True)
        self.x = Stream(f"{name}.x", sizes, spec.qk_norm, backend)
        self.c = Stream(f"{name}.c", sizes, spec.qk_norm, backend, out=not spec.last)
        self.again = Stream(f"{name}.again", sizes, spec.qk_norm, backend) if spec.again else None
        self.x_ffn = FeedForward(f"{name}.x_ffn", ffn, dim, backend)
        self.c_ffn = None if spec.last else FeedForward(f"{name}.c_ffn", ffn, dim, backend)

    def forward(self, rows: Rows) -> Rows:
        x_TD, c_TD, count = rows.x_TD, rows.c_TD, rows.count
        shift1, scale1, gate1, shift2, scale2, gate2, *more = self.x_modulation(rows.given_ND).chunk(9 if self.spec.again else 6, 1)
        normed_TD = self.ops.layer_norm(x_TD, None, None, EPS)
        told = self.c_modulation(rows.given_ND).chunk(2 if self.spec.last else 6, 1)
        scale_c, shift_c = told if self.spec.last else (told[1], told[0])
        c_seen = self.c.split(shifted(self.ops.layer_norm(c_TD, None, None, EPS), shift_c, scale_c), count)
        found_c, found_x = look([c_seen, self.x.split(shifted(normed_TD, shift1, scale1), count)], rows.rotary)
        x_TD = gated(x_TD, _out(self.x, found_x), gate1)
        if self.again is not None:
            shift3, scale3, gate3 = more
            (alone,) = look([self.again.split(shifted(normed_TD, shift3, scale3), count)], None)
            x_TD = gated(x_TD, _out(self.again, alone), gate3)
        x_TD = gated(x_TD, self.x_ffn(shifted(self.ops.layer_norm(x_TD, None, None, EPS), shift2, scale2), rows.batch), gate2)
        if self.c_ffn is not None:
            _, _, gate_c, shift_f, scale_f, gate_f = told
            c_TD = gated(c_TD, _out(self.c, found_c), gate_c)
            c_TD = gated(c_TD, self.c_ffn(shifted(self.ops.layer_norm(c_TD, None, None, EPS), shift_f, scale_f), rows.batch), gate_f)
        return replace(rows, x_TD=x_TD, c_TD=c_TD)


class OneStreamLayer(nn.Module):
    """rows -> rows"""

    def __init__(self, name: str, spec: OneStream, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops = backend.ops
        self.modulation = backend.linear(f"{name}.modulation", dim, (dim,) * 3, bias=True)
        self.both = Stream(f"{name}.both", (dim, spec.heads, spec.head_dim), spec.qk_norm, backend, out=False)
        self.up = backend.linear(f"{name}.up", dim, (spec.hidden,), bias=True)
        self.out = backend.linear(f"{name}.out", spec.heads * spec.head_dim + spec.hidden, (dim,), bias=True, split="row")

    def forward(self, rows: Rows) -> Rows:
        count, shift, scale, gate = rows.count, *self.modulation(rows.given_ND).chunk(3, 1)
        c_NMD, x_NMD = rows.c_TD.unflatten(0, (count, -1)), rows.x_TD.unflatten(0, (count, -1))
        all_TD = torch.cat([c_NMD, x_NMD], 1).flatten(0, 1)
        normed_TD = shifted(self.ops.layer_norm(all_TD, None, None, EPS), shift, scale)
        (found,) = look([self.both.split(normed_TD, count)], rows.rotary)
        made_TD = self.out(torch.cat([found, self.ops.activate(self.up(normed_TD), "gelu_tanh")], 1))
        all_NMD = gated(all_TD, made_TD, gate).unflatten(0, (count, -1))
        c_NMD, x_NMD = all_NMD.split([c_NMD.shape[1], x_NMD.shape[1]], 1)
        return replace(rows, x_TD=x_NMD.flatten(0, 1), c_TD=c_NMD.flatten(0, 1))


def _out(stream: Stream, found_TO: Tensor) -> Tensor:
    if stream.out is None:
        raise TypeError("nothing becomes of what this stream finds")
    return stream.out(found_TO)


def _cropped(spec: FixedGrid, dim: int, grid: tuple[int, int]) -> Tensor:
    """[lines * columns, dim]: the middle of the table."""
    lines, columns = (torch.arange(first := (spec.side - count) // 2, first + count, dtype=torch.float64) for count in grid)
    return grid_sinusoids_of(dim, lines * spec.base / spec.side, columns * spec.base / spec.side)
