"""Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434). H heads, R rank of the latent, N, P and V: dimensions of a
head's key without positions, of the shared rotary key, and of a value."""

from typing import cast

from torch import Tensor, nn

from models.batch import Backend, Batch, HeadMatrices, LatentUp
from models.parts.norms import norm
from models.parts.positions import Rotary
from models.spec import LatentAttention


class LatentAttentionPart(nn.Module):
    """x_TD -> x_TD. Owns the projections; which form attention takes is `latent`'s business."""

    def __init__(self, name: str, spec: LatentAttention, dim: int, backend: Backend, rotary: Rotary | None) -> None:
        super().__init__()
        h, r, n, p, v = spec.heads, spec.kv_rank, spec.nope_dim, spec.rope_dim, spec.value_dim
        self.name, self.spec, self.rotary = name, spec, rotary
        self.q_down = backend.linear(f"{name}.q_down", dim, (spec.q_rank,), bias=spec.bias, split="whole") if spec.q_rank else None
        self.q_norm = norm(spec.norm, spec.q_rank, backend.ops) if spec.q_rank else None
        self.q = backend.linear(f"{name}.q", spec.q_rank or dim, (h * (n + p),))
        self.kv_down = backend.linear(f"{name}.kv_down", dim, (r, p), bias=spec.bias, split="whole")
        self.kv_norm = norm(spec.norm, r, backend.ops)
        self.k_up, self.v_up = backend.per_head(f"{name}.k_up", h, r, n, "back"), backend.per_head(f"{name}.v_up", h, r, v, "each")
        self.latent = backend.latent(name, spec)
        self.out = backend.linear(f"{name}.out", h * v, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THN, q_THP = self._queries(x_TD).split((self.spec.nope_dim, self.spec.rope_dim), -1)
        c_TR, k_TP = self.kv_down(x_TD).split((self.spec.kv_rank, self.spec.rope_dim), -1)
        if self.rotary is not None:
            q_THP, k_TP = self.rotary(q_THP, batch), self.rotary(k_TP[:, None], batch)[:, 0]
        up = LatentUp(cast(HeadMatrices, self.k_up), cast(HeadMatrices, self.v_up))
        c_TR = self.kv_norm(c_TR)
        if batch.watcher is not None:
            batch.watcher.latent(self.name, self.spec, (q_THN, q_THP), (c_TR, k_TP), up)
        return self.out(self.latent(q_THN, q_THP, c_TR, k_TP, up, batch).flatten(1))

    def _queries(self, x_TD: Tensor) -> Tensor:
        if self.q_down is not None and self.q_norm is not None:
            x_TD = self.q_norm(self.q_down(x_TD))
        return self.q(x_TD).unflatten(1, (self.spec.heads, -1))
