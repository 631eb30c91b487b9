"""Linear attention. H heads of values, G of keys and queries, K and V their dimensions, C channels that are convolved, X numbers that
choose the decay."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch, DeltaRows, LinearRows
from models.ops import Ops, wide
from models.parts.norms import norm
from models.parts.positions import Rotary
from models.parts.recurrent.convolution import ShortConvolution, state_slot
from models.parts.recurrent.decays import decay_inputs, decay_part
from models.spec import DeltaRule, LinearAttention, OutputGate

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
            x_TC = F.silu(self.conv(x_TC, batch))
        q_THK, k_THK, v_THV = self._heads(x_TC, batch)
        decay_THK = self.decay(decay_TX)
        if self.spec.delta is None and decay_THK.shape[-1] == 1:
            o_THV = self.state.recur(LinearRows(q_THK, k_THK, v_THV, decay_THK[..., 0]), batch)
        else:
            o_THV = self.state.delta(_rows(self.spec.delta, q_THK, k_THK, v_THV, decay_THK, part_TH), batch)
        o_TO = self.norm(o_THV).flatten(1)
        return self.out((o_TO if self.gate is None else self.gate(o_TO, gate_TO)).to(x_TD.dtype))

    def _heads(self, x_TC: Tensor, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Every head's query, key and value."""
        s = self.spec
        q_TO, k_TO, v_TO = x_TC.split((s.key_heads * s.key_dim, s.key_heads * s.key_dim, s.heads * s.value_dim), -1)
        q_TGK, k_TGK = (t.unflatten(1, (s.key_heads, s.key_dim)) for t in (q_TO, k_TO))
        if s.delta is not None:
            q_TGK, k_TGK = (unit(wide(t), self.ops) for t in (q_TGK, k_TGK))
        if self.rotary is not None:
            q_TGK, k_TGK = self.rotary(q_TGK, batch), self.rotary(k_TGK, batch)
        q_THK, k_THK = (wide(t).repeat_interleave(s.heads // s.key_heads, 1) for t in (q_TGK, k_TGK))
        return q_THK * s.key_dim**-0.5, k_THK, wide(v_TO).unflatten(1, (s.heads, s.value_dim))


class Gated(nn.Module):
    """(o_TO, gate_TX) -> o_TO, where X is O or the gate's rank."""

    def __init__(self, name: str, spec: OutputGate, outputs: int, backend: Backend) -> None:
        super().__init__()
        self.activation = F.silu if spec.activation == "silu" else torch.sigmoid
        self.up = None if spec.rank is None else backend.linear(f"{name}.up", spec.rank, (outputs,))

    def forward(self, o_TO: Tensor, gate_TX: Tensor) -> Tensor:
        return o_TO * self.activation(wide(gate_TX if self.up is None else self.up(gate_TX)))


def _gate_inputs(spec: LinearAttention) -> int:
    if spec.gate is None:
        return 0
    return spec.heads * spec.value_dim if spec.gate.rank is None else spec.gate.rank


def _rows(rule: DeltaRule | None, q_THK: Tensor, k_THK: Tensor, v_THV: Tensor, decay_THK: Tensor, part_TH: Tensor) -> DeltaRows:
    """With a rule, `part_TH` says how much of what the state holds is replaced."""
    if rule is None:
        return DeltaRows(q_THK, k_THK, v_THV, decay_THK, torch.zeros_like(k_THK), k_THK)
    part_TH1 = rule.most * wide(part_TH)[..., None].sigmoid()
    return DeltaRows(q_THK, k_THK, v_THV * part_TH1, decay_THK, -part_TH1 * decay_THK.exp() * k_THK, k_THK)


def unit(x_THK: Tensor, ops: Ops) -> Tensor:
    """Rows of length 1."""
    k = x_THK.shape[-1]
    return ops.rms_norm(x_THK, None, UNIT_EPS / k) * k**-0.5
