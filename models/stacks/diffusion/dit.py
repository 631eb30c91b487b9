"""DiT: a transformer over a picture's patches. N pictures, T rows of all of them, D model."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.attention import AttentionPart, Positions
from models.parts.diffusion.conditioning import LabelledTime, gated, shifted
from models.parts.diffusion.patches import grid_of, grid_sinusoids, picture_of, rows_of
from models.parts.diffusion.pixel_attention import of_pictures
from models.parts.ffn import FeedForward
from models.spec.diffusion import Dit, DitLayer

OUT_EPS = 1e-6  # of the last norm
# what is told is computed in so many rows or a multiple of them: on CPUs fewer go to other kernels, and what does not fill whole vectors to
# other functions, so that the last digits would depend on how many pictures there are
ROWS = 8


@dataclass(frozen=True, eq=False)
class Told:
    """times_N: as training counts them; labels_N: of what, `Dit.labels` for nothing in particular."""

    times_N: Tensor
    labels_N: Tensor


class DitStack(nn.Module):
    """(x_NCHW, told) -> y_NCHW, what the model says of pictures `Dit.side` high and wide."""

    def __init__(self, spec: Dit, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, self.dtype = spec, backend.ops, backend.dtype
        pixels, dim = spec.patch**2, spec.dim
        self.patch = backend.linear("patch", spec.channels * pixels, (dim,), bias=True)
        self.register_buffer("grid", grid_sinusoids(dim, spec.side // spec.patch).to(backend.dtype))
        self.layers = nn.ModuleList(DitBlock(f"layers.{i}", layer, spec, backend) for i, layer in enumerate(spec.layers))
        self.modulation = backend.linear("modulation", dim, (dim, dim), bias=True)
        self.head = backend.linear("head", dim, (pixels * spec.out_channels,), bias=True)

    def forward(self, x_NCHW: Tensor, told: Told) -> Tensor:
        x_TD = self.patch(rows_of(x_NCHW.to(self.dtype), self.spec.patch))
        x_TD = self.ops.add(x_TD, self.get_buffer("grid").repeat(len(x_NCHW), 1))
        batch = of_pictures(len(x_NCHW), len(x_TD) // len(x_NCHW), x_TD.device)
        told = _enough(told)
        for layer in self.layers:
            x_TD = layer(x_TD, told, batch)
        given_ND = self.ops.activate(self.layers[0].get_submodule("condition")(told.times_N, told.labels_N), "silu")
        shift_ND, scale_ND = self.modulation(given_ND)[: len(x_NCHW)].chunk(2, 1)
        x_TD = shifted(self.ops.layer_norm(x_TD, None, None, OUT_EPS), shift_ND, scale_ND)
        return picture_of(self.head(x_TD), self.spec.patch, grid_of(x_NCHW, self.spec.patch))


class DitBlock(nn.Module):
    """x_TD -> x_TD. It has an embedding of time and label of its own, as diffusers' has."""

    def __init__(self, name: str, spec: DitLayer, whole: Dit, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, dim = spec, backend.ops, whole.dim
        self.condition = LabelledTime(f"{name}.condition", whole.times, whole.labels + 1, dim, backend)
        self.modulation = backend.linear(f"{name}.modulation", dim, (dim,) * 6, bias=True)
        self.mixer = AttentionPart(f"{name}.mixer", spec.attention, dim, backend, Positions())
        self.ffn = FeedForward(f"{name}.ffn", spec.ffn, dim, backend)

    def forward(self, x_TD: Tensor, told: Told, batch: Batch) -> Tensor:
        given_ND = self.ops.activate(self.condition(told.times_N, told.labels_N), "silu")
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(given_ND)[: len(batch.cached_S)].chunk(6, 1)
        seen_TD = self.mixer(shifted(self.ops.layer_norm(x_TD, None, None, self.spec.eps[0]), shift1, scale1), batch)
        x_TD = gated(x_TD, seen_TD, gate1)
        made_TD = self.ffn(shifted(self.ops.layer_norm(x_TD, None, None, self.spec.eps[1]), shift2, scale2), batch)
        return gated(x_TD, made_TD, gate2)


def _enough(told: Told) -> Told:
    """The last one again, until there are a multiple of ROWS."""
    more = -len(told.times_N) % ROWS
    return Told(*(torch.cat([t, t[-1:].expand(more)]) for t in (told.times_N, told.labels_N)))
