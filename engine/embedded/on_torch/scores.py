"""Attention once keys and values lie beside one another. B sequences, H heads, G kv heads, K head dim, Q queries, M keys."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from models.masks import ahead, may_see
from models.ops import wide
from models.reference import softmax
from models.score_bias import PLAIN, Scoring, scale_of, score_bias
from models.spec import Attention


@dataclass(frozen=True, eq=False)
class Scores:
    """How queries at positions query_BQ1 look at keys at positions key_M; end_BQ1: as `Batch.ends_T`."""

    spec: Attention
    query_BQ1: Tensor
    key_M: Tensor
    scoring: Scoring = PLAIN
    end_BQ1: Tensor | None = None

    def attend(self, q_BHQK: Tensor, k_BGMK: Tensor, v_BGMK: Tensor) -> Tensor:
        """out_BHQK"""
        bias_BHQM = score_bias(self.spec, self.scoring.relative, q_BHQK, k_BGMK, self.query_BQ1, self.key_M)
        return attention(self.spec, q_BHQK, k_BGMK, v_BGMK, self._may(), bias=bias_BHQM, sinks_H=self.scoring.sinks_H)

    def weights(self, q_BHQK: Tensor, k_BGMK: Tensor) -> Tensor:
        """weights_BHQM, in float32 at least: what share each query gives each key."""
        bias_BHQM = score_bias(self.spec, self.scoring.relative, q_BHQK, k_BGMK, self.query_BQ1, self.key_M)
        return weights(self.spec, q_BHQK, k_BGMK, self._may(), bias_BHQM, self.scoring.sinks_H)

    def _may(self) -> Tensor:
        """bool [B, 1, Q, M], or with H in place of 1 where heads see differently."""
        may = may_see(self.spec.mask, self.query_BQ1, self.key_M)
        if self.end_BQ1 is not None:
            extra = ahead(self.query_BQ1, self.key_M, self.end_BQ1)
            may = may | (extra if may.dim() == 3 else extra.unsqueeze(-3))
        return may.unsqueeze(1) if may.dim() == 3 else may.repeat_interleave(self.spec.heads // self.spec.kv_heads, 1)


def attention(
    spec: Attention,
    q_BHQK: Tensor,
    k_BGMK: Tensor,
    v_BGMK: Tensor,
    may_BHQM: Tensor,
    *,
    bias: Tensor | None = None,
    sinks_H: Tensor | None = None,
) -> Tensor:
    """out_BHQK. `may_BHQM`: bool, may the query see the key."""
    if spec.softcap is None and bias is None and sinks_H is None:
        shared = spec.heads != spec.kv_heads
        return F.scaled_dot_product_attention(q_BHQK, k_BGMK, v_BGMK, attn_mask=may_BHQM, scale=scale_of(spec), enable_gqa=shared)
    v_BHMK = v_BGMK.repeat_interleave(spec.heads // spec.kv_heads, -3)
    return weights(spec, q_BHQK, k_BGMK, may_BHQM, bias, sinks_H).to(v_BHMK.dtype) @ v_BHMK


def weights(spec: Attention, q_BHQK: Tensor, k_BGMK: Tensor, may_BHQM: Tensor, bias: Tensor | None, sinks_H: Tensor | None) -> Tensor:
    """weights_BHQM, in float32 at least."""
    k_BHMK = k_BGMK.repeat_interleave(spec.heads // spec.kv_heads, -3)
    scores_BHQM = wide(q_BHQK @ k_BHMK.transpose(-1, -2)) * scale_of(spec)
    if bias is not None:
        scores_BHQM = scores_BHQM + bias
    if spec.softcap is not None:
        scores_BHQM = (scores_BHQM / spec.softcap).tanh() * spec.softcap
    return softmax(scores_BHQM.masked_fill(~may_BHQM, -torch.inf), sinks_H)
