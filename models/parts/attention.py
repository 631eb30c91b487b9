"""Multi-head attention: MHA, GQA and MQA are one part. H query heads, G key/value heads, K head dimension."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import head_norm
from models.parts.positions import Rotary
from models.score_bias import Relative, Scoring
from models.spec import Attention


@dataclass(frozen=True, eq=False)
class Positions:
    """How an attention hears of positions: what rotates its queries and keys, and what makes rows for its scores
    (models/parts/relative.py)."""

    rotary: Rotary | None = None
    relative: nn.Module | None = None


class AttentionPart(nn.Module):
    """x_TD -> x_TD. Owns the projections; what is remembered, and how it is looked up, is `attend`'s business. `reads`: columns of
    the rows that come in, where they are not as wide as those that go out."""

    def __init__(self, name: str, spec: Attention, dim: int, backend: Backend, positions: Positions, reads: int | None = None) -> None:
        super().__init__()
        h, g, k = spec.heads, spec.kv_heads, spec.head_dim
        self.name, self.spec, self.ops, self.rotary, self.relative = name, spec, backend.ops, positions.rotary, positions.relative
        inputs = reads or dim
        self.qkv = backend.linear(f"{name}.qkv", inputs, (h * k, g * k, g * k), bias=spec.bias)
        self.q_norm = head_norm(spec.qk_norm, h, k, backend.ops) if spec.qk_norm else None
        self.k_norm = head_norm(spec.qk_norm, g, k, backend.ops) if spec.qk_norm else None
        self.sinks = nn.Parameter(torch.empty(h, dtype=torch.float32), requires_grad=False) if spec.sinks else None
        self.attend = backend.attend(name, spec)
        self.gate = backend.linear(f"{name}.gate", inputs, (h * k if spec.gate == "channel" else h,), bias=spec.bias) if spec.gate else None
        self.out = backend.linear(f"{name}.out", h * k, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THK, k_TGK, v_TGK = self._heads(self.qkv(x_TD))
        if self.rotary is not None:
            q_THK, k_TGK = self.rotary(q_THK, batch), self.rotary(k_TGK, batch)
        if self.spec.temperature is not None:
            q_THK = self.ops.heat(q_THK, self.spec.temperature, batch.positions_T)
        scoring = self._scoring(x_TD)
        if batch.watcher is not None:
            batch.watcher.attention(self.name, self.spec, q_THK, k_TGK, scoring)
        out_THK = self.attend(q_THK, k_TGK, v_TGK, batch, scoring)
        return self.out(out_THK.flatten(1) if self.gate is None else self._gated(out_THK, self.gate(x_TD)))

    def _gated(self, out_THK: Tensor, gate_TO: Tensor) -> Tensor:
        """out_TO. A gate for each channel, or one for all of a head's."""
        if self.spec.gate == "channel":
            return self.ops.product(out_THK.flatten(1), self.ops.sigmoid(gate_TO, 1.0), None)
        return (out_THK * gate_TO.sigmoid()[..., None]).flatten(1)

    def _scoring(self, x_TD: Tensor) -> Scoring:
        relative: Relative | None = None if self.relative is None else self.relative(x_TD, self.qkv)
        return Scoring(self.sinks, relative)

    def _heads(self, y_TO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """One per role, normed and clipped; without either, views of the joint projection."""
        h, g, k = self.spec.heads, self.spec.kv_heads, self.spec.head_dim
        q_THK, k_TGK, v_TGK = y_TO.unflatten(1, (h + 2 * g, k)).split((h, g, g), 1)
        if self.q_norm is not None and self.k_norm is not None:
            q_THK, k_TGK = self._normed(self.q_norm, q_THK), self._normed(self.k_norm, k_TGK)
        if (most := self.spec.clip) is not None:
            q_THK, k_TGK, v_TGK = (self.ops.clamp(t, most) for t in (q_THK, k_TGK, v_TGK))
        return q_THK, k_TGK, v_TGK

    def _normed(self, norm: nn.Module, x_THK: Tensor) -> Tensor:
        if self.spec.qk_norm is not None and self.spec.qk_norm.over == "projection":
            return norm(x_THK.flatten(1)).unflatten(1, x_THK.shape[1:])
        return norm(x_THK)
