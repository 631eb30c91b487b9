"""RWKV-7's time mixing. H heads, K their dimension, C = H * K channels, N roles."""

from collections.abc import Callable
from math import exp

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.batch import Backend, Batch, DeltaRows
from models.ops import Ops, wide
from models.parts.recurrent.convolution import state_slot, weight
from models.parts.recurrent.first_values import HandedValues
from models.parts.recurrent.token_shift import TokenShiftPart
from models.spec import Rwkv7

ROLES = 6  # receptance, decay, key, value, rate, gate: the order of the mixes
STRONGEST = exp(-0.5)  # decay of a token, negative


class Rwkv7Part(nn.Module):
    """x_TD -> x_TD (arXiv 2503.14456, section 4)."""

    def __init__(self, name: str, spec: Rwkv7, dim: int, backend: Backend, handed: HandedValues) -> None:
        super().__init__()
        h, k = self.size = spec.heads, spec.head_dim
        self.handed, self.gives = handed, spec.first is None and handed.claim(self.size)
        self.shift = TokenShiftPart(f"{name}.shift", dim, ROLES, backend)
        self.receptance, self.key, self.value = (backend.linear(f"{name}.{role}", dim, (h * k,)) for role in ("receptance", "key", "value"))
        self.decay = LowRank(f"{name}.decay", (dim, spec.decay_rank, h * k), torch.tanh, backend)
        self.rate = LowRank(f"{name}.rate", (dim, spec.rate_rank, h * k), None, backend)
        self.gate = LowRank(f"{name}.gate", (dim, spec.gate_rank, h * k), torch.sigmoid, backend, bias=False)
        self.first = LowRank(f"{name}.first", (dim, spec.first.rank, h * k), None, backend) if spec.first else None
        self.key_scale, self.rate_scale, self.bonus = weight(h * k), weight(h * k), weight(h, k)
        self.state = backend.recurrence(name, state_slot(spec))
        self.norm = HeadsNorm(h, k, spec.eps, backend.ops)
        self.out = backend.linear(f"{name}.out", h * k, (dim,), split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        r_TD, w_TD, k_TD, v_TD, a_TD, g_TD = self.shift(x_TD, batch).unbind(0)
        decay_THK, rate_THK = -STRONGEST * self._heads(self.decay(w_TD)).sigmoid(), self._heads(self.rate(a_TD)).sigmoid()
        r_THK, k_THK, v_THK = self._heads(self.receptance(r_TD)), self._heads(self.key(k_TD)), self._values(v_TD, batch)
        key_scale_HK, rate_scale_HK = (t.view(self.size) for t in (self.key_scale, self.rate_scale))
        forgotten_THK = F.normalize(k_THK * key_scale_HK, dim=-1)
        k_THK = k_THK * (1 + (rate_THK - 1) * rate_scale_HK)
        rows = DeltaRows(r_THK, k_THK, v_THK, decay_THK, -forgotten_THK, forgotten_THK * rate_THK)
        o_THK = self.norm(self.state.delta(rows, batch)) + (r_THK * k_THK * self.bonus).sum(-1, keepdim=True) * v_THK
        return self.out((o_THK.flatten(1) * self.gate(g_TD)).to(x_TD.dtype))

    def _values(self, x_TD: Tensor, batch: Batch) -> Tensor:
        v_THK = self._heads(self.value(x_TD))
        if self.gives:
            self.handed.give(v_THK, batch)
        if self.first is None:
            return v_THK
        return torch.lerp(v_THK, self.handed.take(self.size, batch), self._heads(self.first(x_TD)).sigmoid())

    def _heads(self, x_TC: Tensor) -> Tensor:
        return wide(x_TC).unflatten(1, self.size)


class LowRank(nn.Module):
    """x_TI -> y_TO by way of a few numbers, on which an activation may act. `sizes`: inputs, rank, outputs."""

    def __init__(
        self, name: str, sizes: tuple[int, int, int], act: Callable[[Tensor], Tensor] | None, backend: Backend, bias: bool = True
    ) -> None:
        super().__init__()
        d_in, rank, d_out = sizes
        self.act = act
        self.down = backend.linear(f"{name}.down", d_in, (rank,))
        self.up = backend.linear(f"{name}.up", rank, (d_out,), bias=bias)

    def forward(self, x_TI: Tensor) -> Tensor:
        y_TR = self.down(x_TI)
        return self.up(y_TR if self.act is None else self.act(y_TR))


class HeadsNorm(nn.Module):
    """x_THK -> x_THK: a LayerNorm on each head, with a weight and a bias for each channel."""

    def __init__(self, heads: int, head_dim: int, eps: float, ops: Ops) -> None:
        super().__init__()
        self.size, self.eps, self.ops = (heads, head_dim), eps, ops
        self.weight, self.bias = weight(heads * head_dim), weight(heads * head_dim)

    def forward(self, x_THK: Tensor) -> Tensor:
        return self.ops.layer_norm(x_THK, self.weight.view(self.size), self.bias.view(self.size), self.eps)
