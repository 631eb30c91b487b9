"""Mamba-2. H heads, N numbers of state, V value dimension, G groups of heads, I = H * V inner channels, C channels that are convolved."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.parts.recurrent.convolution import ShortConvolution, state_slot, weight
from models.spec import Mamba2


class Mamba2Part(nn.Module):
    """x_TD -> x_TD (arXiv 2405.21060)."""

    def __init__(self, name: str, spec: Mamba2, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, inner, shared = spec, spec.heads * spec.head_dim, spec.groups * spec.state
        self.sizes = (inner, inner + 2 * shared, spec.heads)
        self.into = backend.linear(f"{name}.into", dim, self.sizes, bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", self.sizes[1], spec.kernel, spec.conv_bias, backend)
        self.step_bias, self.decay, self.skip = weight(spec.heads), weight(spec.heads), weight(spec.heads)
        self.state = backend.recurrence(name, state_slot(spec))
        self.norm = GatedNorm(spec)
        self.out = backend.linear(f"{name}.out", inner, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        gate_TI, x_TC, step_TH = self.into(x_TD).split(self.sizes, -1)
        v_THV, k_THN, q_THN = self._parts(F.silu(self.conv(x_TC, batch)))
        step_TH = F.softplus(wide(step_TH) + self.step_bias).clamp(self.spec.least_step, self.spec.most_step)
        o_THV = self.state.recur(q_THN, k_THN, wide(v_THV) * step_TH[..., None], step_TH * self.decay, batch)
        o_THV = o_THV + self.skip[:, None] * v_THV
        return self.out(self.norm(o_THV.flatten(1), gate_TI).to(x_TD.dtype))

    def _parts(self, x_TC: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Values, keys and queries of each head."""
        s = self.spec
        v_TI, k_TO, q_TO = x_TC.split((s.heads * s.head_dim, s.groups * s.state, s.groups * s.state), -1)
        k_THN, q_THN = (t.unflatten(1, (s.groups, s.state)).repeat_interleave(s.heads // s.groups, 1) for t in (k_TO, q_TO))
        return v_TI.unflatten(1, (s.heads, s.head_dim)), k_THN, q_THN


class GatedNorm(nn.Module):
    """(y_TI, gate_TI) -> float32 y_TI: y * silu(gate), with an RMSNorm over the channels of each group behind it, before it, or none."""

    def __init__(self, spec: Mamba2) -> None:
        super().__init__()
        self.spec, self.norm = spec, spec.norm
        self.weight = weight(spec.heads * spec.head_dim) if spec.norm else None

    def forward(self, y_TI: Tensor, gate_TI: Tensor) -> Tensor:
        gate_TI = F.silu(wide(gate_TI))
        return self._normed(y_TI) * gate_TI if self.spec.norm_first else self._normed(y_TI * gate_TI)

    def _normed(self, y_TI: Tensor) -> Tensor:
        if self.norm is None or self.weight is None:
            return y_TI
        y_TGI = y_TI.unflatten(1, (self.spec.groups, -1))
        y_TGI = y_TGI * torch.rsqrt(y_TGI.square().mean(-1, keepdim=True) + self.norm.eps)
        return y_TGI.flatten(1) * self.weight
