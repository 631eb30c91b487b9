"""Multi-head attention: MHA, GQA and MQA are one part. H query heads, G key/value heads, K head dimension."""

from torch import Tensor, nn

from models.batch import Backend, Batch
from models.parts.norms import norm
from models.parts.positions import Rotary
from models.spec import Attention


class AttentionPart(nn.Module):
    """x_TD -> x_TD. Owns the projections; what is remembered, and how it is looked up, is `attend`'s business."""

    def __init__(self, name: str, spec: Attention, dim: int, backend: Backend, rotary: Rotary | None) -> None:
        super().__init__()
        h, g, k = spec.heads, spec.kv_heads, spec.head_dim
        self.spec, self.rotary = spec, rotary
        self.qkv = backend.linear(f"{name}.qkv", dim, (h * k, g * k, g * k), bias=spec.bias)
        self.q_norm = norm(spec.qk_norm, k, backend.ops) if spec.qk_norm else None
        self.k_norm = norm(spec.qk_norm, k, backend.ops) if spec.qk_norm else None
        self.attend = backend.attend(name, spec)
        self.out = backend.linear(f"{name}.out", h * k, (dim,), bias=spec.out_bias, split="row")

    def forward(self, x_TD: Tensor, batch: Batch) -> Tensor:
        q_THK, k_TGK, v_TGK = self._heads(self.qkv(x_TD))
        if self.q_norm is not None and self.k_norm is not None:
            q_THK, k_TGK = self.q_norm(q_THK), self.k_norm(k_TGK)
        if self.rotary is not None:
            q_THK, k_TGK = self.rotary(q_THK, batch.positions_T), self.rotary(k_TGK, batch.positions_T)
        return self.out(self.attend(q_THK, k_TGK, v_TGK, batch).flatten(1))

    def _heads(self, y_TO: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views of the joint projection, one per role."""
        h, g, k = self.spec.heads, self.spec.kv_heads, self.spec.head_dim
        q_THK, k_TGK, v_TGK = y_TO.unflatten(1, (h + 2 * g, k)).split((h, g, g), 1)
        return q_THK, k_TGK, v_TGK
