"""Keys and values in pages, found through block tables.

T tokens, S sequences, H heads, G kv heads, K head dim, P pages, W table width, M tokens looked at.
"""

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.on_torch.pages import Places, Storage, unwritten
from engine.embedded.on_torch.scores import Scores
from models.batch import Batch
from models.score_bias import PLAIN, Scoring
from models.spec import Attention, Paged


class PagedAttention:
    """One layer's K and V: [P + 1, G, PAGE, K], head-major within a page. The last page takes what padding writes;
    index -1 of a block table is that page too. Owns memory and no parameter."""

    def __init__(self, spec: Attention, layout: Paged, storage: Storage, where: Places) -> None:
        self.spec, self.layout, self.where = spec, layout, where
        shape = (storage.pages[layout] + 1, spec.kv_heads, PAGE, spec.head_dim)
        self.k_PGSK, self.v_PGSK = (torch.empty(shape, dtype=storage.dtype, device=storage.device) for _ in range(2))
        if storage.fill_nan:
            self.k_PGSK.fill_(torch.nan)
            self.v_PGSK.fill_(torch.nan)

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        page_T, offset_T = self.where(batch, self.layout)
        self.k_PGSK[page_T, :, offset_T] = k_TGK
        self.v_PGSK[page_T, :, offset_T] = v_TGK
        table_SW = batch.pages[self.layout]
        if q_THK.shape[0] == table_SW.shape[0]:
            return self._one_each(q_THK, table_SW, batch, scoring)
        ends = [None if batch.ends_T is None else batch.ends_T[rows] for rows, _ in batch.spans]
        parts = (self._several(q_THK[rows], table_SW[s], cached, scoring, ends[s]) for s, (rows, cached) in enumerate(batch.spans))
        return torch.cat(list(parts))

    def _several(self, q_QHK: Tensor, table_W: Tensor, cached: int, scoring: Scoring, ends_Q: Tensor | None) -> Tensor:
        """New tokens of one sequence, which come after `cached` others."""
        end, reach = cached + q_QHK.shape[0], self.layout.reach
        first = 0 if reach is None else max(0, cached - reach + 1) // PAGE
        pages = table_W[first : -(-end // PAGE)].long()
        k_GMK, v_GMK = (store[pages].transpose(0, 1).flatten(1, 2)[:, : end - first * PAGE] for store in (self.k_PGSK, self.v_PGSK))
        key_M = torch.arange(first * PAGE, end, device=q_QHK.device)
        end_1Q1 = None if ends_Q is None else ends_Q[None, :, None]
        scores = Scores(self.spec, key_M[None, cached - first * PAGE :, None], key_M, scoring, end_1Q1)
        return scores.attend(q_QHK.transpose(0, 1)[None], k_GMK[None], v_GMK[None])[0].transpose(0, 1)

    def _one_each(self, q_SHK: Tensor, table_SW: Tensor, batch: Batch, scoring: Scoring) -> Tensor:
        """One new token per sequence; no synchronisation, so that a CUDA graph can hold it."""
        k_SGMK, v_SGMK = (store[table_SW.long()].transpose(1, 2).flatten(2, 3) for store in (self.k_PGSK, self.v_PGSK))
        key_M = torch.arange(k_SGMK.shape[2], device=q_SHK.device)
        query_S11 = batch.cached_S[:, None, None]
        nothing_S1M1 = unwritten(key_M, query_S11, self.layout.reach)[..., None]
        k_SGMK, v_SGMK = k_SGMK.masked_fill(nothing_S1M1, 0), v_SGMK.masked_fill(nothing_S1M1, 0)
        scores = Scores(self.spec, query_S11, key_M, scoring)
        return scores.attend(q_SHK[:, :, None], k_SGMK, v_SGMK)[:, :, 0]
