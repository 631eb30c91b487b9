"""PixArt: a transformer over a picture's patches that looks at a text. N pictures, T rows of all, L a text's rows, D model."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.attention import AttentionPart, Positions
from models.parts.diffusion.conditioning import TimeEmbedding, gated, shifted
from models.parts.diffusion.patches import LastGrid, grid_of, grid_sinusoids_of, picture_of, rows_of
from models.parts.diffusion.pixel_attention import of_pictures
from models.parts.diffusion.pixel_transformer import TextAttention
from models.parts.ffn import FeedForward
from models.spec.diffusion import PixArt, Sinusoids

TIMES = Sinusoids()


@dataclass(frozen=True, eq=False)
class Captioned:
    """times_N: as training counts them; text_NLX, of which keep_NL says which rows are there. sizes_N2: height and width, and ratios_N1:
    height over width, of models that are told them."""

    times_N: Tensor
    text_NLX: Tensor
    keep_NL: Tensor
    sizes_N2: Tensor | None = None
    ratios_N1: Tensor | None = None


class PixArtStack(nn.Module):
    """(x_NCHW, told) -> y_NCHW, what the model says. Patches of pictures larger than `PixArt.side` lie closer to one another, as if
    there were no more of them."""

    def __init__(self, spec: PixArt, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, self.dtype = spec, backend.ops, backend.dtype
        pixels, dim, third = spec.patch**2, spec.dim, spec.dim // 3
        self.places = LastGrid(self._places)
        self.patch = backend.linear("patch", spec.channels * pixels, (dim,), bias=True)
        self.time = TimeEmbedding("time", TIMES, dim, backend)
        self.size = TimeEmbedding("size", TIMES, third, backend) if spec.sized else None
        self.ratio = TimeEmbedding("ratio", TIMES, third, backend) if spec.sized else None
        self.modulation = backend.linear("modulation", dim, (dim,) * 6, bias=True)
        self.text_into = backend.linear("text_into", spec.text, (dim,), bias=True)
        self.text_out = backend.linear("text_out", dim, (dim,), bias=True)
        self.layers = nn.ModuleList(PixArtLayer(f"layers.{i}", spec, backend) for i in range(spec.layers))
        self.ends = nn.Parameter(torch.empty(2, dim, dtype=torch.float32), requires_grad=False)
        self.head = backend.linear("head", dim, (pixels * spec.out_channels,), bias=True)

    def forward(self, x_NCHW: Tensor, told: Captioned) -> Tensor:
        x_TD = self.patch(rows_of(x_NCHW.to(self.dtype), self.spec.patch))
        grid = grid_of(x_NCHW, self.spec.patch)
        x_TD = self.ops.add(x_TD, self.places(grid).to(x_TD).repeat(len(x_NCHW), 1))
        batch, given_ND = of_pictures(len(x_NCHW), len(x_TD) // len(x_NCHW), x_TD.device), self._given(told)
        given_N6D = self.modulation(self.ops.activate(given_ND, "silu")).unflatten(1, (6, -1))
        hidden = self.ops.activate(self.text_into(told.text_NLX.to(self.dtype).flatten(0, 1)), "gelu_tanh")
        text_NLD = self.text_out(hidden).unflatten(0, told.text_NLX.shape[:2])
        for layer in self.layers:
            x_TD = layer(x_TD, given_N6D, (text_NLD, told.keep_NL), batch)
        shift_ND, scale_ND = (self.ends[None] + given_ND[:, None]).to(x_TD.dtype).unbind(1)
        y_TO = self.head(shifted(self.ops.layer_norm(x_TD, None, None, 1e-6), shift_ND, scale_ND))
        return picture_of(y_TO, self.spec.patch, grid)

    def _places(self, grid: tuple[int, int]) -> Tensor:
        usual = self.spec.side // self.spec.patch
        lines, columns = (torch.arange(count, dtype=torch.float64) * usual / count / self.spec.spread for count in grid)
        return grid_sinusoids_of(self.spec.dim, lines, columns)

    def _given(self, told: Captioned) -> Tensor:
        y_ND = self.time(told.times_N)
        if self.size is None or self.ratio is None or told.sizes_N2 is None or told.ratios_N1 is None:
            return y_ND
        sizes = [part(numbers.flatten()).unflatten(0, numbers.shape).flatten(1) for part, numbers in self._sizes(told)]
        return y_ND + torch.cat(sizes, 1)

    def _sizes(self, told: Captioned) -> list[tuple[nn.Module, Tensor]]:
        pairs = ((self.size, told.sizes_N2), (self.ratio, told.ratios_N1))
        return [(part, numbers) for part, numbers in pairs if part is not None and numbers is not None]


class PixArtLayer(nn.Module):
    """x_TD -> x_TD"""

    def __init__(self, name: str, spec: PixArt, backend: Backend) -> None:
        super().__init__()
        self.ops, self.eps, dim, heads = backend.ops, spec.eps, spec.dim, spec.attention.heads
        self.own = nn.Parameter(torch.empty(6, dim, dtype=torch.float32), requires_grad=False)
        self.mixer = AttentionPart(f"{name}.mixer", spec.attention, dim, backend, Positions())
        self.text = TextAttention(f"{name}.text", heads, (dim, dim), backend, bias=spec.attention.bias)
        self.ffn = FeedForward(f"{name}.ffn", spec.ffn, dim, backend)

    def forward(self, x_TD: Tensor, given_N6D: Tensor, text: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
        told = (self.own[None] + given_N6D).to(x_TD.dtype).unbind(1)
        seen_TD = self.mixer(shifted(self.ops.layer_norm(x_TD, None, None, self.eps), told[0], told[1]), batch)
        x_TD = gated(x_TD, seen_TD, told[2])
        x_TD = x_TD + self.text(x_TD, *text)
        return gated(x_TD, self.ffn(shifted(self.ops.layer_norm(x_TD, None, None, self.eps), told[3], told[4]), batch), told[5])
