"""Latents in pages: multi-head latent attention, absorbed and expanded (DeepSeek-V2, arXiv 2405.04434).

S sequences, H heads, M tokens looked at; R rank of the latent, N, P and V: dimensions of a head's key without positions, of the
shared rotary key, and of a value.
"""

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.on_torch.pages import Places, Storage, unwritten
from engine.embedded.on_torch.scores import Scores
from models.batch import Batch, LatentUp
from models.reference import absorbed, expand, expanded
from models.spec import LatentAttention, Paged

# up to so many new tokens of a sequence, attention runs in the space of the latents
ABSORBED_ROWS = 32


class PagedLatents:
    """One layer's latents and rotary keys, one behind the other: [P + 1, PAGE, R + P]. Owns memory and no parameter.

    Few new tokens look at the latents themselves, which costs H * R for each key but makes no keys and values of what is
    remembered; many look at keys and values made for them."""

    def __init__(self, spec: LatentAttention, layout: Paged, storage: Storage, where: Places) -> None:
        self.spec, self.layout, self.where = spec, layout, where
        shape = (storage.pages[layout] + 1, PAGE, spec.kv_rank + spec.rope_dim)
        self.latents_PSC = torch.empty(shape, dtype=storage.dtype, device=storage.device)
        if storage.fill_nan:
            self.latents_PSC.fill_(torch.nan)

    def __call__(self, q_THN: Tensor, q_THP: Tensor, c_TR: Tensor, k_TP: Tensor, up: LatentUp, batch: Batch) -> Tensor:
        page_T, offset_T = self.where(batch, self.layout)
        self.latents_PSC[page_T, offset_T] = torch.cat([c_TR, k_TP], -1)
        table_SW = batch.pages[self.layout]
        if q_THN.shape[0] == table_SW.shape[0]:
            return self._one_each(q_THN, q_THP, up, table_SW, batch)
        parts = (self._several(q_THN[rows], q_THP[rows], up, table_SW[s], cached) for s, (rows, cached) in enumerate(batch.spans))
        return torch.cat(list(parts))

    def _several(self, q_QHN: Tensor, q_QHP: Tensor, up: LatentUp, table_W: Tensor, cached: int) -> Tensor:
        """New tokens of one sequence, which come after `cached` others."""
        end, first = cached + q_QHN.shape[0], self._first(cached)
        latents_MC = self.latents_PSC[table_W[first : -(-end // PAGE)].long()].flatten(0, 1)[: end - first * PAGE]
        key_M = torch.arange(first * PAGE, end, device=q_QHN.device)
        query_1Q1 = key_M[None, cached - first * PAGE :, None]
        if q_QHN.shape[0] <= ABSORBED_ROWS:
            return self._absorbed(q_QHN[None], q_QHP[None], up, latents_MC[None], query_1Q1, key_M)[0]
        q_QHK, (k_MHK, v_MHV) = torch.cat([q_QHN, q_QHP], -1), expand(up, *self._parts(latents_MC))
        q_HQK, k_HMK, v_HMV = (t.transpose(0, 1)[None] for t in (q_QHK, k_MHK, v_MHV))
        return Scores(expanded(self.spec), query_1Q1, key_M).attend(q_HQK, k_HMK, v_HMV)[0].transpose(0, 1)

    def _one_each(self, q_SHN: Tensor, q_SHP: Tensor, up: LatentUp, table_SW: Tensor, batch: Batch) -> Tensor:
        """One new token per sequence; no synchronisation, so that a CUDA graph can hold it."""
        latents_SMC = self.latents_PSC[table_SW.long()].flatten(1, 2)
        key_M, query_S11 = torch.arange(latents_SMC.shape[1], device=q_SHN.device), batch.cached_S[:, None, None]
        latents_SMC = latents_SMC.masked_fill(unwritten(key_M, query_S11, self.layout.reach).transpose(1, 2), 0)
        return self._absorbed(q_SHN[:, None], q_SHP[:, None], up, latents_SMC, query_S11, key_M)[:, 0]

    def _absorbed(self, q_SQHN: Tensor, q_SQHP: Tensor, up: LatentUp, latents_SMC: Tensor, query_SQ1: Tensor, key_M: Tensor) -> Tensor:
        """out_SQHV, by queries that were brought into the latents' space."""
        q_SQHR = up.keys.back(q_SQHN.flatten(0, 1)).unflatten(0, q_SQHN.shape[:2])
        q_SHQC = torch.cat([q_SQHR, q_SQHP], -1).transpose(1, 2)
        scores = Scores(absorbed(self.spec), query_SQ1, key_M)
        o_SHQR = scores.attend(q_SHQC, latents_SMC[:, None], self._parts(latents_SMC)[0][:, None])
        return up.values.each(o_SHQR.transpose(1, 2).flatten(0, 1)).unflatten(0, q_SQHN.shape[:2])

    def _parts(self, latents_MC: Tensor) -> tuple[Tensor, Tensor]:
        return latents_MC[..., : self.spec.kv_rank], latents_MC[..., self.spec.kv_rank :]

    def _first(self, cached: int) -> int:
        reach = self.layout.reach
        return 0 if reach is None else max(0, cached - reach + 1) // PAGE
