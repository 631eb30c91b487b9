"""Attention of a decoder's rows to what its encoder returned. H query heads, G key/value heads, K head dimension."""

from collections.abc import Sequence

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.ops import wide
from models.parts.norms import head_norm
from models.score_bias import scale_of
from models.spec import CrossAttention


class CrossAttentionPart(nn.Module):
    """x_TD -> x_TD. `reads`: columns of the encoder's rows."""

    def __init__(self, name: str, spec: CrossAttention, dim: int, reads: int, backend: Backend) -> None:
        super().__init__()
        h, g, k = spec.heads, spec.kv_heads, spec.head_dim
        self.name, self.spec = name, spec
        self.q = backend.linear(f"{name}.q", dim, (h * k,), bias=spec.bias)
        self.kv = backend.linear(f"{name}.kv", reads, (g * k, g * k), bias=spec.bias)
        self.q_norm = head_norm(spec.qk_norm, h, k, backend.ops) if spec.qk_norm else nn.Identity()
        self.k_norm = head_norm(spec.qk_norm, g, k, backend.ops) if spec.qk_norm else nn.Identity()
        self.attend = backend.cross(name, spec)
        self.out = backend.linear(f"{name}.out", h * k, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THK, new = self.q_norm(self.q(x_TD).unflatten(1, (-1, self.spec.head_dim))), self._new(batch)
        seen_THK = self.attend(q_THK, new, batch)
        for look in batch.looks:
            if heads := look.heads.get(self.name):
                rows, _ = batch.spans[look.sequence]
                look.tell(self.name, shares(self.spec, q_THK[rows], self.attend.keys(new, batch, look.sequence), heads))
        return self.out(seen_THK.flatten(1))

    def _new(self, batch: Batch) -> tuple[Tensor, Tensor] | None:
        """Keys and values [T, G, K] of the inputs that were read in this step."""
        if batch.encoding is None or batch.encoding.rows_TD is None:
            return None
        k_TGK, v_TGK = self.kv(batch.encoding.rows_TD).unflatten(1, (-1, self.spec.head_dim)).chunk(2, 1)
        return self.k_norm(k_TGK), v_TGK


def shares(spec: CrossAttention, q_THK: Tensor, k_MGK: Tensor, heads: Sequence[int]) -> Tensor:
    """float32 [N, T, M]: of each of `heads`, how much of its attention each token gives each row."""
    groups = [head * spec.kv_heads // spec.heads for head in heads]
    q_NTK, k_NMK = wide(q_THK[:, list(heads)]).transpose(0, 1), wide(k_MGK[:, groups]).transpose(0, 1)
    return (q_NTK @ k_NMK.mT * scale_of(spec.scores)).softmax(-1).float()
