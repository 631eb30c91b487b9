"""Sparse attention of encoders in plain torch, at the cost of the pattern: blocks of queries beside the keys that they may see,
never a sequence's queries beside all its keys. models/reference and models/reference/sparse.py are the twins.

M tokens of one sequence, N global ones, n blocks of queries, B queries of a block, W keys beside them, H heads, G kv heads, K head dim.
"""

from math import log

import torch
import torch.nn.functional as F
from torch import Tensor

from models.batch import Batch
from models.masks import last_block, may_see
from models.score_bias import PLAIN, Scoring, scale_of
from models.spec import Attention, BlockSparse, LocalGlobalAttention

LEAST_BLOCK = 32  # queries; smaller products are not worth their call


class BandedAttention:
    """Implements models.batch.LocalGlobal."""

    def __init__(self, spec: LocalGlobalAttention) -> None:
        self._spec, self._distance = spec, spec.mask.distance
        self._block = max(self._distance, LEAST_BLOCK)

    def near(self, q_THK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        return torch.cat([self._near(q_THK[r], k_THK[r], v_THK[r], batch.globals_T[r]) for r, _ in batch.spans])

    def everywhere(self, q_NHK: Tensor, k_THK: Tensor, v_THK: Tensor, batch: Batch) -> Tensor:
        counts = [int(batch.globals_T[r].sum()) for r, _ in batch.spans]
        parts = zip(q_NHK.split(counts), batch.spans, strict=True)
        return torch.cat([_square(q, k_THK[r], v_THK[r], None) for q, (r, _) in parts])

    def _near(self, q_MHK: Tensor, k_MHK: Tensor, v_MHK: Tensor, globals_M: Tensor) -> Tensor:
        if len(q_MHK) <= self._block + 2 * self._distance:
            at_M = torch.arange(len(q_MHK), device=q_MHK.device)
            return _square(q_MHK, k_MHK, v_MHK, may_see(self._spec.mask, at_M[:, None], at_M) | globals_M)
        row_N = globals_M.nonzero()[:, 0]
        q_nHBK = _blocks(q_MHK, self._block)
        k_nHWK, v_nHWK = (self._beside(x_MHK, row_N, len(q_nHBK)) for x_MHK in (k_MHK, v_MHK))
        out_nHBK = F.scaled_dot_product_attention(q_nHBK, k_nHWK, v_nHWK, attn_mask=self._may(globals_M, len(row_N), len(q_nHBK)))
        return out_nHBK.transpose(1, 2).flatten(0, 1)[: len(q_MHK)]

    def _beside(self, x_MHK: Tensor, row_N: Tensor, blocks: int) -> Tensor:
        """For each block of queries the global tokens' rows, and those of its neighbourhood."""
        far = blocks * self._block - len(x_MHK) + self._distance
        padded = F.pad(x_MHK, (0, 0, 0, 0, self._distance, far))
        window_nHWK = padded.unfold(0, self._block + 2 * self._distance, self._block).transpose(-1, -2)
        global_HNK = x_MHK[row_N].transpose(0, 1)
        return torch.cat([global_HNK.expand(blocks, -1, -1, -1), window_nHWK], 2)

    def _may(self, globals_M: Tensor, count: int, blocks: int) -> Tensor:
        """bool [n, 1, B, N + W]. A global key is seen as such, not once more as a neighbour."""
        d, block = self._distance, self._block
        plain = F.pad(~globals_M, (d, blocks * block - len(globals_M) + d))
        local_n1W = plain.unfold(0, block + 2 * d, block)[:, None]
        query_B1, key_W = torch.arange(block, device=plain.device)[:, None], torch.arange(-d, block + d, device=plain.device)
        near_nBW = local_n1W & ((query_B1 - key_W).abs() <= d)
        return F.pad(near_nBW, (count, 0), value=True).unsqueeze(1)


class BlockAttention:
    """Implements models.batch.Attend for BigBird's mask."""

    def __init__(self, spec: Attention, mask: BlockSparse) -> None:
        self._spec, self._mask = spec, mask

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        return torch.cat([self._one(q_THK[r], k_TGK[r], v_TGK[r]) for r, _ in batch.spans])

    def _one(self, q_MHK: Tensor, k_MGK: Tensor, v_MGK: Tensor) -> Tensor:
        size, last = self._mask.size, last_block(self._mask, len(q_MHK))
        k_1GMK, v_1GMK = (x.transpose(0, 1)[None] for x in (k_MGK, v_MGK))
        if not last:
            return self._mixed(q_MHK.transpose(0, 1)[None], k_1GMK, v_1GMK, None)[0].transpose(0, 1)
        ends_QHK = torch.cat([q_MHK[:size], q_MHK[last * size :]])
        ends_QHK = self._mixed(ends_QHK.transpose(0, 1)[None], k_1GMK, v_1GMK, None)[0].transpose(0, 1)
        middle_nHBK = q_MHK[size : last * size].unflatten(0, (-1, size)).transpose(1, 2)
        k_nGWK, v_nGWK = (_five(x, size) for x in (k_MGK, v_MGK))
        middle_nHBK = self._mixed(middle_nHBK, k_nGWK, v_nGWK, self._bias(len(q_MHK), last, q_MHK))
        return torch.cat([ends_QHK[:size], middle_nHBK.transpose(1, 2).flatten(0, 1), ends_QHK[size:]])

    def _bias(self, length: int, last: int, like: Tensor) -> Tensor:
        """[n, 1, B, 5B]: keys of the first block, of three in a row, of the last, as the blocks between the ends see them."""
        size = self._mask.size
        bias_n5B = like.new_zeros(last - 1, 5, size)
        bias_n5B[:, 0] = log(1 + self._mask.random)
        bias_n5B[0, 1] = bias_n5B[-1, 3] = -torch.inf  # the ends are seen as such, not once more as neighbours
        bias_n5B[:, 4, length - last * size :] = -torch.inf
        return bias_n5B.flatten(1)[:, None, None].expand(-1, -1, size, -1)

    def _mixed(self, q_nHBK: Tensor, k_nGWK: Tensor, v_nGWK: Tensor, bias: Tensor | None) -> Tensor:
        """out_nHBK"""
        spec = self._spec
        shared = spec.heads != spec.kv_heads
        return F.scaled_dot_product_attention(q_nHBK, k_nGWK, v_nGWK, attn_mask=bias, scale=scale_of(spec), enable_gqa=shared)


def _square(q_QHK: Tensor, k_MHK: Tensor, v_MHK: Tensor, may_QM: Tensor | None) -> Tensor:
    q_HQK, k_HMK, v_HMK = (x.transpose(0, 1) for x in (q_QHK, k_MHK, v_MHK))
    return F.scaled_dot_product_attention(q_HQK, k_HMK, v_HMK, attn_mask=may_QM).transpose(0, 1)


def _blocks(x_MHK: Tensor, block: int) -> Tensor:
    """[n, H, B, K], filled up with zeros."""
    return F.pad(x_MHK, (0, 0, 0, 0, 0, -len(x_MHK) % block)).unflatten(0, (-1, block)).transpose(1, 2)


def _five(x_MGK: Tensor, size: int) -> Tensor:
    """[n, G, 5B, K]: for each block between the ends the first one, itself between its neighbours, the last one."""
    x_nGBK = _blocks(x_MGK, size)
    middle = len(x_nGBK) - 2
    first, last = (x_nGBK[i].expand(middle, -1, -1, -1) for i in (0, -1))
    return torch.cat([first, x_nGBK[:-2], x_nGBK[1:-1], x_nGBK[2:], last], 2)
