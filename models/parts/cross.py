"""Attention of a decoder's rows to what its encoder returned. H query heads, G key/value heads, K head dimension."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.spec import CrossAttention


class CrossAttentionPart(nn.Module):
    """x_TD -> x_TD. `reads`: columns of the encoder's rows."""

    def __init__(self, name: str, spec: CrossAttention, dim: int, reads: int, backend: Backend) -> None:
        super().__init__()
        h, g, k = spec.heads, spec.kv_heads, spec.head_dim
        self.spec = spec
        self.q = backend.linear(f"{name}.q", dim, (h * k,), bias=spec.bias)
        self.kv = backend.linear(f"{name}.kv", reads, (g * k, g * k), bias=spec.bias)
        self.attend = backend.cross(name, spec)
        self.out = backend.linear(f"{name}.out", h * k, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THK = self.q(x_TD).unflatten(1, (-1, self.spec.head_dim))
        return self.out(self.attend(q_THK, self._new(batch), batch).flatten(1))

    def _new(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Keys and values [T, G, K] of the inputs that were read in this step."""
        if batch.encoding is None or batch.encoding.rows_TD is None:
            return None
        k_TGK, v_TGK = self.kv(batch.encoding.rows_TD).unflatten(1, (-1, self.spec.head_dim)).chunk(2, 1)
        return k_TGK, v_TGK
