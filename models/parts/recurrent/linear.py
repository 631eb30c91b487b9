"""Linear attention. H heads of values, G of keys and queries, K and V their dimensions, C channels that are convolved, X numbers that
choose the decay."""

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch, DeltaRows, LinearRows
from models.ops import Ops, wide
from models.parts.norms import norm
from models.parts.positions import Rotary
from models.parts.recurrent.convolution import ShortConvolution, state_slot
from models.parts.recurrent.decays import decay_inputs, decay_part
from models.spec import LinearAttention, OutputGate

UNIT_EPS = 1e-6  # under the root of a key's length


class LinearAttentionPart(nn.Module):
    """x_TD -> x_TD"""

    def __init__(self, name: str, spec: LinearAttention, dim: int, backend: Backend, rotary: Rotary | None) -> None:
        super().__init__()
        h, g, k, v = spec.heads, spec.key_heads, spec.key_dim, spec.value_dim
        self.spec, self.ops, self.rotary = spec, backend.ops, rotary
        self.sizes = (2 * g * k + h * v, _gate_inputs(spec), h if spec.delta else 0, decay_inputs(spec))
        self.into = backend.linear(f"{name}.into", dim, [size for size in self.sizes if size])
        self.conv = ShortConvolution(f"{name}.conv", self.sizes[0], spec.kernel, False, backend) if spec.kernel else None
        self.decay = decay_part(f"{name}.decay", spec, backend)
        self.state = backend.recurrence(name, state_slot(spec))
        self.norm = norm(spec.norm, v, backend.ops)
        self.gate = Gated(f"{name}.gate", spec.gate, h * v, backend) if spec.gate else None
        self.out = backend.linear(f"{name}.out", h * v, (dim,), split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        x_TC, gate_TO, part_TH, decay_TX = self.into(x_TD).split(self.sizes, -1)
        if self.conv is not None:
            x_TC = self.ops.activate(self.conv(x_TC, batch), "silu")
        o_TO = self.norm(self._attended(self._heads(x_TC, batch), part_TH, self.decay(decay_TX), batch)).flatten(1)
        return self.out((o_TO if self.gate is None else self.gate(o_TO, gate_TO)).to(x_TD.dtype))

    def _attended(self, heads: tuple[Tensor, Tensor, Tensor], part_TH: Tensor, decay_THK: Tensor, batch: Batch) -> Tensor:
        """o_THV. With a rule, `part_TH` says how much of what the state holds is replaced."""
        rule, state, (q_TGK, k_TGK, v_THV) = self.spec.delta, self.state, heads
        share_TH = None if rule is None else self.ops.sigmoid(part_TH, rule.most)
        if decay_THK.shape[-1] == 1:
            rows = LinearRows(q_TGK, k_TGK, v_THV, decay_THK[..., 0], share_TH)
            return state.recur(rows, batch) if rule is None else state.replace(rows, batch)
        return state.delta(_by_channels(q_TGK, k_TGK, v_THV, decay_THK, share_TH), batch)

    def _heads(self, x_TC: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """q_TGK, k_TGK and v_THV."""
        s = self.spec
        q_TO, k_TO, v_TO = x_TC.split((s.key_heads * s.key_dim, s.key_heads * s.key_dim, s.heads * s.value_dim), -1)
        q_TGK, k_TGK = (wide(t).unflatten(1, (s.key_heads, s.key_dim)) for t in (q_TO, k_TO))
        if s.delta is not None:
            q_TGK, k_TGK = (unit(t, self.ops) for t in (q_TGK, k_TGK))
        if self.rotary is not None:
            q_TGK, k_TGK = self.rotary(q_TGK, batch), self.rotary(k_TGK, batch)
        return scaled(q_TGK, s.key_dim**-0.5, self.ops), k_TGK, wide(v_TO).unflatten(1, (s.heads, s.value_dim))


class Gated(nn.Module):
    """(o_TO, gate_TX) -> o_TO, where X is O or the gate's rank."""

    def __init__(self, name: str, spec: OutputGate, outputs: int, backend: Backend) -> None:
        super().__init__()
        self.ops, self.activation = backend.ops, spec.activation
        self.up = None if spec.rank is None else backend.linear(f"{name}.up", spec.rank, (outputs,))

    def forward(self, o_TO: Tensor, gate_TX: Tensor) -> Tensor:
        gate_TO = gate_TX if self.up is None else self.up(gate_TX)
        if self.activation == "silu":
            return self.ops.product(o_TO, gate_TO, "silu")
        return self.ops.product(o_TO, self.ops.sigmoid(gate_TO, 1.0), None)


def _gate_inputs(spec: LinearAttention) -> int:
    if spec.gate is None:
        return 0
    return spec.heads * spec.value_dim if spec.gate.rank is None else spec.gate.rank


def _by_channels(q_TGK: Tensor, k_TGK: Tensor, v_THV: Tensor, decay_THK: Tensor, share_TH: Tensor | None) -> DeltaRows:
    """Where each channel decays by itself."""
    q_THK, k_THK, v_THV, _ = LinearRows(q_TGK, k_TGK, v_THV, decay_THK[..., 0], share_TH).of_heads
    a_THK = torch.zeros_like(k_THK) if share_TH is None else -share_TH[..., None] * decay_THK.exp() * k_THK
    return DeltaRows(q_THK, k_THK, v_THV, decay_THK, a_THK, k_THK)


def scaled(x_THK: Tensor, factor: float, ops: Ops) -> Tensor:
    return ops.scale(x_THK.flatten(1), factor).unflatten(1, x_THK.shape[1:])


def unit(x_THK: Tensor, ops: Ops) -> Tensor:
    """Rows of length 1."""
    k = x_THK.shape[-1]
    return scaled(ops.rms_norm(x_THK, None, UNIT_EPS / k), k**-0.5, ops)
