"""State-space parts. D model, I inner channels, N numbers of state, H heads, G groups of heads, C channels that are convolved."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.parts.norms import norm
from models.spec import Layer, Mamba, Mamba2, Norm, ShortConv, Slot, caches


class MambaPart(nn.Module):
    """x_TD -> x_TD (arXiv 2312.00752)."""

    def __init__(self, name: str, spec: Mamba, dim: int, backend: Backend) -> None:
        super().__init__()
        i, n, r = spec.inner, spec.state, spec.rank
        self.sizes = (r, n, n)
        self.into = backend.linear(f"{name}.into", dim, (i, i), bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", i, spec.kernel, spec.conv_bias, backend)
        self.choose = backend.linear(f"{name}.choose", i, self.sizes)
        self.step_norm, self.in_norm, self.out_norm = (norm(spec.norm, size, backend.ops) for size in self.sizes)
        self.step = backend.linear(f"{name}.step", r, (i,), bias=True)
        self.decay, self.skip = _weight(i, n), _weight(i)
        self.state = backend.recurrence(name, _slot(spec))
        self.out = backend.linear(f"{name}.out", i, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TI, gate_TI = self.into(x_TD).chunk(2, -1)
        x_TI = F.silu(self.conv(x_TI, batch))
        step_TR, b_TN, c_TN = self.choose(x_TI).split(self.sizes, -1)
        step_TI = F.softplus(wide(self.step(self.step_norm(step_TR))))
        y_TI = self.state.scan(x_TI, step_TI, self.decay, self.in_norm(b_TN), self.out_norm(c_TN), batch) + self.skip * x_TI
        return self.out((y_TI * F.silu(wide(gate_TI))).to(x_TD.dtype))


class Mamba2Part(nn.Module):
    """x_TD -> x_TD (arXiv 2405.21060)."""

    def __init__(self, name: str, spec: Mamba2, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, inner, shared = spec, spec.heads * spec.head_dim, spec.groups * spec.state
        self.sizes = (inner, inner + 2 * shared, spec.heads)
        self.into = backend.linear(f"{name}.into", dim, self.sizes, bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", self.sizes[1], spec.kernel, spec.conv_bias, backend)
        self.step_bias, self.decay, self.skip = _weight(spec.heads), _weight(spec.heads), _weight(spec.heads)
        self.state = backend.recurrence(name, _slot(spec))
        self.norm = GatedNorm(spec.norm, inner, spec.groups)
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


class ShortConvPart(nn.Module):
    """x_TD -> x_TD: out(c * conv(b * x)), where one matrix makes b, c and x."""

    def __init__(self, name: str, spec: ShortConv, dim: int, backend: Backend) -> None:
        super().__init__()
        c = spec.channels
        self.into = backend.linear(f"{name}.into", dim, (c, c, c), bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", c, spec.kernel, spec.bias, backend)
        self.out = backend.linear(f"{name}.out", c, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        b_TC, c_TC, x_TC = self.into(x_TD).chunk(3, -1)
        return self.out(c_TC * self.conv(b_TC * x_TC, batch))


class ShortConvolution(nn.Module):
    """x_TC -> y_TC: each channel's own, causal."""

    def __init__(self, name: str, channels: int, kernel: int, bias: bool, backend: Backend) -> None:
        super().__init__()
        self.weight, self.bias = _weight(channels, kernel), _weight(channels) if bias else None
        self.state = backend.recurrence(name, Slot(shape=(channels, kernel - 1)))

    def forward(self, x_TC: Tensor, batch: Batch) -> Tensor:
        return self.state.convolve(x_TC, self.weight.to(x_TC.dtype), None if self.bias is None else self.bias.to(x_TC.dtype), batch)


class GatedNorm(nn.Module):
    """(y_TI, gate_TI) -> float32 y_TI: y * silu(gate), then an RMSNorm over the channels of each group, or none."""

    def __init__(self, spec: Norm | None, inner: int, groups: int) -> None:
        super().__init__()
        self.spec, self.groups = spec, groups
        self.weight = _weight(inner) if spec else None

    def forward(self, y_TI: Tensor, gate_TI: Tensor) -> Tensor:
        y_TI = y_TI * F.silu(wide(gate_TI))
        if self.spec is None or self.weight is None:
            return y_TI
        y_TGI = y_TI.unflatten(1, (self.groups, -1))
        y_TGI = y_TGI * torch.rsqrt(y_TGI.square().mean(-1, keepdim=True) + self.spec.eps)
        return y_TGI.flatten(1) * self.weight


def _weight(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape, dtype=torch.float32), requires_grad=False)


def _slot(spec: Mamba | Mamba2) -> Slot:
    """Of the recurrence, behind that of the convolution."""
    return next(cache for cache in caches(Layer(mixer=spec, ffn=None)) if isinstance(cache, Slot) and cache.wide)
