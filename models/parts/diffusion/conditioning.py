"""What a denoiser is told besides the picture: which time it is, and of what the picture is to be. N pictures, M rows of each, D model."""

import math

import torch
from torch import Tensor, nn

from models.batch import Backend
from models.spec.diffusion import Sinusoids


class TimeEmbedding(nn.Module):
    """times_N -> y_ND: sinusoids, then linear, silu, linear."""

    def __init__(self, name: str, spec: Sinusoids, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, self.dtype = spec, backend.ops, backend.dtype
        self.into = backend.linear(f"{name}.into", spec.columns, (dim,), bias=True)
        self.out = backend.linear(f"{name}.out", dim, (dim,), bias=True)

    def forward(self, times_N: Tensor) -> Tensor:
        return self.out(self.ops.activate(self.into(sinusoids(self.spec, times_N).to(self.dtype)), "silu"))


class TwoLayers(nn.Module):
    """x_NI -> y_ND: linear, silu, linear."""

    def __init__(self, name: str, d_in: int, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops = backend.ops
        self.into = backend.linear(f"{name}.into", d_in, (dim,), bias=True)
        self.out = backend.linear(f"{name}.out", dim, (dim,), bias=True)

    def forward(self, x_NI: Tensor) -> Tensor:
        return self.out(self.ops.activate(self.into(x_NI), "silu"))


def sinusoids(spec: Sinusoids, times_N: Tensor) -> Tensor:
    """float32 [N, columns]: cosines, then sines."""
    half = spec.columns // 2
    exponents = torch.arange(half, dtype=torch.float32, device=times_N.device) / (half - int(spec.closed))
    angles = times_N.float()[:, None] * torch.exp(-math.log(10_000) * exponents)
    return torch.cat([angles.cos(), angles.sin()], 1)


class LabelledTime(nn.Module):
    """(times_N, labels_N) -> y_ND, their embeddings added."""

    def __init__(self, name: str, spec: Sinusoids, labels: int, dim: int, backend: Backend) -> None:
        super().__init__()
        self.ops = backend.ops
        self.time = TimeEmbedding(f"{name}.time", spec, dim, backend)
        self.labels = backend.embedding(f"{name}.labels", labels, dim)

    def forward(self, times_N: Tensor, labels_N: Tensor) -> Tensor:
        return self.ops.add(self.time(times_N), self.labels(labels_N))


def shifted(x_TD: Tensor, shift_ND: Tensor, scale_ND: Tensor) -> Tensor:
    """(1 + scale) * x + shift, each row by those of its picture."""
    x_NMD = x_TD.unflatten(0, (len(scale_ND), -1))
    return (x_NMD * (1 + scale_ND[:, None]) + shift_ND[:, None]).flatten(0, 1)


def gated(x_TD: Tensor, y_TD: Tensor, gate_ND: Tensor) -> Tensor:
    """x + gate * y, the same way."""
    return x_TD + (y_TD.unflatten(0, (len(gate_ND), -1)) * gate_ND[:, None]).flatten(0, 1)
