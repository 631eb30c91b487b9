"""Reformer's hashed attention in pages: every token's shared query and key, its value and its buckets. A new token is held against
all tokens of its sequence; those that the sorted chunks do not show it are masked.

T tokens, S sequences, H heads, K head dim, R rounds of hashing, P pages, W table width, Q queries of a sequence, M tokens looked at.
"""

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.on_torch.pages import Places, Storage, unwritten
from models.batch import Batch
from models.ops import wide
from models.parts.lsh import keys_of
from models.reference.sparse import ITSELF
from models.spec import LshAttention, Paged, Sorted

MOST_COUNTS = 1 << 20  # numbers in a tensor of counts; more queries are taken one part after another


class PagedLsh:
    """Implements models.batch.Lsh for `Sorted` masks. Owns memory and no parameter."""

    def __init__(self, spec: LshAttention, mask: Sorted, layout: Paged, storage: Storage, where: Places) -> None:
        self._spec, self._mask, self._layout, self._where = spec, mask, layout, where
        pages = storage.pages[layout] + 1
        shape = (pages, spec.heads, PAGE, spec.head_dim)
        whole = torch.int16 if storage.dtype.itemsize == 2 else torch.int32
        self._qk_PHSK, self._v_PHSK = (torch.empty(shape, dtype=storage.dtype, device=storage.device) for _ in range(2))
        self._buckets_PHSR = torch.empty((pages, spec.heads, PAGE, spec.rounds), dtype=whole, device=storage.device)
        if storage.fill_nan:
            self._qk_PHSK.fill_(torch.nan)
            self._v_PHSK.fill_(torch.nan)
            self._buckets_PHSR.fill_(torch.iinfo(whole).max)

    def __call__(self, qk_THK: Tensor, v_THK: Tensor, buckets_THR: Tensor, batch: Batch) -> Tensor:
        page_T, offset_T = self._where(batch, self._layout)
        self._qk_PHSK[page_T, :, offset_T] = qk_THK
        self._v_PHSK[page_T, :, offset_T] = v_THK
        self._buckets_PHSR[page_T, :, offset_T] = buckets_THR.to(self._buckets_PHSR.dtype)
        table_SW = batch.pages[self._layout].long()
        if len(qk_THK) == len(table_SW):
            return self._look(qk_THK[:, :, None], table_SW, batch.cached_S[:, None].long())[:, :, 0]
        parts = (self._several(qk_THK[rows], table_SW[s], cached) for s, (rows, cached) in enumerate(batch.spans))
        return torch.cat(list(parts))

    def _several(self, q_QHK: Tensor, table_W: Tensor, cached: int) -> Tensor:
        """New tokens of one sequence, which come after `cached` others."""
        pages = table_W[None, : -(-(cached + len(q_QHK)) // PAGE)]
        query_1Q = torch.arange(cached, cached + len(q_QHK), device=q_QHK.device)[None]
        most = max(1, MOST_COUNTS // (self._spec.heads * self._spec.rounds * pages.shape[1] * PAGE))
        parts = zip(q_QHK.transpose(0, 1)[None].split(most, 2), query_1Q.split(most, 1), strict=True)
        return torch.cat([self._look(q_1HQK, pages, part_1Q)[0].transpose(0, 1) for q_1HQK, part_1Q in parts])

    def _look(self, q_SHQK: Tensor, pages_SW: Tensor, query_SQ: Tensor) -> Tensor:
        """out_SHQK; no synchronisation, so that a CUDA graph can hold it."""
        stores = (self._qk_PHSK, self._v_PHSK, self._buckets_PHSR)
        qk_SHMK, v_SHMK, buckets_SHMR = (store[pages_SW].transpose(1, 2).flatten(2, 3) for store in stores)
        key_M = torch.arange(qk_SHMK.shape[2], device=q_SHQK.device)
        nothing_S1M1 = unwritten(key_M, query_SQ[:, -1:, None], None)[..., None]
        qk_SHMK, v_SHMK = qk_SHMK.masked_fill(nothing_S1M1, 0), v_SHMK.masked_fill(nothing_S1M1, 0)
        scores_SHQM = wide(q_SHQK @ keys_of(qk_SHMK).transpose(-1, -2))
        scores_SHQM = scores_SHQM.masked_fill((key_M == query_SQ[..., None])[:, None], ITSELF)
        weights_SHQM = (scores_SHQM + counts(self._mask, buckets_SHMR.transpose(-1, -2), query_SQ).to(scores_SHQM).log()).softmax(-1)
        return weights_SHQM.to(v_SHMK.dtype) @ v_SHMK


def counts(mask: Sorted, buckets_SHRM: Tensor, query_SQ: Tensor) -> Tensor:
    """int64 [S, H, Q, M]: how many times each token is shown to queries at these positions, all rounds together; 0 to those
    behind. One order of all tokens serves every query: those up to it keep theirs."""
    order_SHRM = buckets_SHRM.argsort(dim=-1, stable=True)
    place_SHRM = order_SHRM.argsort(dim=-1)
    there_SHRQM = order_SHRM[..., None, :] <= query_SQ[:, None, None, :, None]
    rank_SHRQM = there_SHRQM.cumsum(-1) - 1
    at_SHRQ1 = place_SHRM.gather(-1, query_SQ[:, None, None].expand(*place_SHRM.shape[:3], -1))[..., None]
    first_SHRQ1 = (rank_SHRQM.gather(-1, at_SHRQ1).div(mask.size, rounding_mode="floor") - mask.before) * mask.size
    tokens_S11Q1 = query_SQ[:, None, None, :, None] + 1
    until_SHRQM = first_SHRQ1 + (1 + mask.before) * mask.size - 1 - rank_SHRQM
    shown_SHRQM = until_SHRQM.div(tokens_S11Q1, rounding_mode="floor")
    shown_SHRQM = shown_SHRQM - (first_SHRQ1 - 1 - rank_SHRQM).div(tokens_S11Q1, rounding_mode="floor")
    placed_SHRQM = (shown_SHRQM * there_SHRQM).gather(-1, place_SHRM[..., None, :].expand_as(shown_SHRQM))
    before_S1QM = torch.arange(buckets_SHRM.shape[-1], device=query_SQ.device) <= query_SQ[:, None, :, None]
    return torch.where(query_SQ[:, None, :, None] < mask.size, before_S1QM, placed_SHRQM.sum(2))
