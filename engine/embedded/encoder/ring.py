"""Reformer's chunks of encoders in plain torch, at the cost of the pattern. models/masks.py and models/reference/sparse.py are the twins.

M tokens of one sequence, P with those that fill it up, C chunks, B tokens of a chunk, W keys beside them, H heads, G kv heads,
K head dim, R rounds.
"""

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from models.batch import Batch
from models.masks import padded
from models.ops import wide
from models.parts.lsh import keys_of
from models.reference.sparse import ITSELF
from models.score_bias import PLAIN, Scoring, scale_of
from models.spec import Attention, LshAttention, Ring


class RingAttention:
    """Implements models.batch.Attend for chunks of neighbours."""

    def __init__(self, spec: Attention, mask: Ring) -> None:
        self._spec, self._mask = spec, mask

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        return torch.cat([self._one(q_THK[r], k_TGK[r], v_TGK[r]) for r, _ in batch.spans])

    def _one(self, q_MHK: Tensor, k_MGK: Tensor, v_MGK: Tensor) -> Tensor:
        tokens = len(q_MHK)
        total, size = _extent(self._mask, tokens)
        q_CHBK, k_CGBK, v_CGBK = (_chunks(x, total, size) for x in (q_MHK, k_MGK, v_MGK))
        may = None
        if len(q_CHBK) > 1:
            real_CB = (torch.arange(total, device=q_MHK.device) < tokens).view(-1, size)
            may = _beside(self._mask, real_CB, 0, 1)[:, None, None]
            k_CGBK, v_CGBK = (_beside(self._mask, x, 0, 2) for x in (k_CGBK, v_CGBK))
        shared = self._spec.heads != self._spec.kv_heads
        out_CHBK = F.scaled_dot_product_attention(q_CHBK, k_CGBK, v_CGBK, attn_mask=may, scale=scale_of(self._spec), enable_gqa=shared)
        return out_CHBK.transpose(1, 2).flatten(0, 1)[:tokens]


class RingLsh:
    """Implements models.batch.Lsh for `Ring`: all rounds of a sequence, sorted by bucket, behind one another."""

    def __init__(self, spec: LshAttention, mask: Ring) -> None:
        self._spec, self._mask = spec, mask

    def __call__(self, qk_THK: Tensor, v_THK: Tensor, buckets_THR: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self._one(qk_THK[r], v_THK[r], buckets_THR[r]) for r, _ in batch.spans])

    def _one(self, qk_MHK: Tensor, v_MHK: Tensor, buckets_MHR: Tensor) -> Tensor:
        tokens = len(qk_MHK)
        total, size = _extent(self._mask, tokens)
        order_HRP = self._order(buckets_MHR, total) if total > size else self._order(buckets_MHR, total)[:, :1]
        chunk_HCB = order_HRP.flatten(1).unflatten(1, (-1, size))
        out_HCBK, lse_HCB = self._mixed(qk_MHK.transpose(0, 1), v_MHK.transpose(0, 1), chunk_HCB)
        out_HRPK, lse_HRP = (x.flatten(1, 2).unflatten(1, order_HRP.shape[1:]) for x in (out_HCBK, lse_HCB))
        place_HRM = order_HRP.argsort(dim=-1)[..., :tokens]
        share_HRM = lse_HRP.gather(2, place_HRM).softmax(1)
        out_HRMK = out_HRPK.gather(2, place_HRM[..., None].expand(-1, -1, -1, out_HRPK.shape[-1]))
        return (out_HRMK * share_HRM[..., None]).sum(1).transpose(0, 1).to(qk_MHK.dtype)

    def _order(self, buckets_MHR: Tensor, total: int) -> Tensor:
        """Tokens by bucket; those that fill up come last."""
        filled_HRP = F.pad(buckets_MHR.permute(1, 2, 0), (0, total - len(buckets_MHR)), value=prod(self._spec.buckets))
        return filled_HRP.argsort(dim=-1, stable=True)

    def _mixed(self, qk_HMK: Tensor, v_HMK: Tensor, chunk_HCB: Tensor) -> tuple[Tensor, Tensor]:
        """out_HCBK, and the logarithms of the sums of exponentials behind it; of rows that fill up, anything."""
        tokens = qk_HMK.shape[1]
        row_HCB = chunk_HCB.clamp(max=tokens - 1)
        q_HCBK, k_HCBK, v_HCBK = (_rows(x_HMK, row_HCB) for x_HMK in (qk_HMK, keys_of(qk_HMK), v_HMK))
        beside_HCW = chunk_HCB
        if chunk_HCB.shape[1] > 1:
            beside_HCW, k_HCBK, v_HCBK = (_beside(self._mask, x, 1, 2) for x in (chunk_HCB, k_HCBK, v_HCBK))
        scores_HCBW = wide(q_HCBK @ k_HCBK.transpose(-1, -2))
        scores_HCBW = scores_HCBW.masked_fill((beside_HCW >= tokens)[:, :, None], -torch.inf)
        scores_HCBW = scores_HCBW.masked_fill(chunk_HCB[..., None] == beside_HCW[:, :, None], ITSELF)
        return scores_HCBW.softmax(-1) @ wide(v_HCBK), scores_HCBW.logsumexp(-1)


def _extent(mask: Ring, tokens: int) -> tuple[int, int]:
    """How long a sequence counts as being, and how long its chunks are: one, where all see all."""
    total = padded(mask, tokens)
    return (total, mask.size) if total > mask.size else (tokens, tokens)


def _chunks(x_MHK: Tensor, total: int, size: int) -> Tensor:
    """[C, H, B, K], filled up with zeros."""
    return F.pad(x_MHK, (0, 0, 0, 0, 0, total - len(x_MHK))).unflatten(0, (-1, size)).transpose(1, 2)


def _rows(x_HMK: Tensor, row_HCB: Tensor) -> Tensor:
    """[H, C, B, K]"""
    flat_HNK = x_HMK.gather(1, row_HCB.flatten(1)[..., None].expand(-1, -1, x_HMK.shape[-1]))
    return flat_HNK.unflatten(1, row_HCB.shape[1:])


def _beside(mask: Ring, x: Tensor, chunks: int, tokens: int) -> Tensor:
    """Each chunk's rows with those of its neighbours in the circle, along the axis of tokens."""
    return torch.cat([x.roll(-step, chunks) for step in range(-mask.before, mask.after + 1)], tokens)
