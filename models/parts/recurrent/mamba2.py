"""Mamba-2. H heads, N numbers of state, V value dimension, G groups of heads, I = H * V inner channels, C channels that are convolved."""

from torch import Tensor, nn

from models.batch import Backend, Batch, LinearRows
from models.ops import Ops
from models.parts.recurrent.convolution import ShortConvolution, state_slot, weight
from models.spec import Mamba2


class Mamba2Part(nn.Module):
    """x_TD -> x_TD (arXiv 2405.21060)."""

    def __init__(self, name: str, spec: Mamba2, dim: int, backend: Backend) -> None:
        super().__init__()
        self.spec, self.ops, inner, shared = spec, backend.ops, spec.heads * spec.head_dim, spec.groups * spec.state
        self.sizes = (inner, inner + 2 * shared, spec.heads)
        self.into = backend.linear(f"{name}.into", dim, self.sizes, bias=spec.bias)
        self.conv = ShortConvolution(f"{name}.conv", self.sizes[1], spec.kernel, spec.conv_bias, backend)
        self.step_bias, self.decay, self.skip = weight(spec.heads), weight(spec.heads), weight(spec.heads)
        self.state = backend.recurrence(name, state_slot(spec))
        self.norm = GatedNorm(spec, backend.ops)
        self.out = backend.linear(f"{name}.out", inner, (dim,), bias=spec.bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        gate_TI, x_TC, step_TH = self.into(x_TD).split(self.sizes, -1)
        x_TC = self.ops.activate(self.conv(x_TC, batch), "silu")
        step_TH = self.ops.softplus(step_TH, self.step_bias, self.spec.least_step, self.spec.most_step)
        o_THV = self.state.recur(self._rows(x_TC, step_TH), batch)
        o_TI = self.ops.add_scaled(o_THV.flatten(1), x_TC[:, : self.sizes[0]], self.skip)
        return self.out(self.norm(o_TI, gate_TI).to(x_TD.dtype))

    def _rows(self, x_TC: Tensor, step_TH: Tensor) -> LinearRows:
        s = self.spec
        v_TI, k_TO, q_TO = x_TC.split((s.heads * s.head_dim, s.groups * s.state, s.groups * s.state), -1)
        k_TGN, q_TGN = (t.unflatten(1, (s.groups, s.state)) for t in (k_TO, q_TO))
        decay_TH = self.ops.product(step_TH, self.decay.expand_as(step_TH), None)
        return LinearRows(q_TGN, k_TGN, v_TI.unflatten(1, (s.heads, s.head_dim)), decay_TH, step_TH)


class GatedNorm(nn.Module):
    """(y_TI, gate_TI) -> float32 y_TI: y * silu(gate), with an RMSNorm over the channels of each group behind it, before it, or none."""

    def __init__(self, spec: Mamba2, ops: Ops) -> None:
        super().__init__()
        self.spec, self.ops, self.norm = spec, ops, spec.norm
        self.weight = weight(spec.heads * spec.head_dim) if spec.norm else None

    def forward(self, y_TI: Tensor, gate_TI: Tensor) -> Tensor:
        if self.spec.norm_first:
            return self.ops.product(self._normed(y_TI), gate_TI, "silu")
        return self._normed(self.ops.product(y_TI, gate_TI, "silu"))

    def _normed(self, y_TI: Tensor) -> Tensor:
        if self.norm is None or self.weight is None:
            return y_TI
        y_TGI, weight_GI = y_TI.unflatten(1, (self.spec.groups, -1)), self.weight.unflatten(0, (self.spec.groups, -1))
        return self.ops.rms_norm(y_TGI, weight_GI, self.norm.eps).flatten(1)
