"""A model's memory in plain torch, on any device: pages of K and V per attention layer, found through block tables.

T tokens, S sequences (B where they lie beside one another), H heads, G kv heads, K head dim, P pages, W table width, M tokens looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.embedded.linear import QuantizingLinear
from engine.embedded.page_pool import PAGE
from models.batch import Attend, Batch, Latent, LatentUp
from models.masks import may_see
from models.ops import Ops, wide
from models.reference import Embedding, Experts, HeadMatrices, Linear, absorbed, expand, expanded, scale_of, slopes, softmax
from models.spec import MLP, Alibi, Attention, LatentAttention, Layer, MoE, Paged, caches

# up to so many new tokens of a sequence, attention runs in the space of the latents
ABSORBED_ROWS = 32


@dataclass(frozen=True, kw_only=True)
class Storage:
    """`pages`: pages per layout. `bits`: quantize dense weights to so many; None: leave them. `fill_nan`: fresh pages
    hold NaN, so that a read of what was never written shows (tests)."""

    pages: Mapping[Paged, int]
    device: torch.device
    dtype: torch.dtype = torch.bfloat16
    bits: int | None = None
    fill_nan: bool = False


class TorchBackend:
    """Implements models.batch.Backend."""

    def __init__(self, storage: Storage) -> None:
        self.storage, self.ops = storage, Ops()
        self._places = Places()

    def embedding(self, name: str, vocab: int, dim: int) -> nn.Module:
        return Embedding(vocab, dim, self.storage.dtype).to(self.storage.device)

    def linear(self, name: str, d_in: int, d_outs: Sequence[int], *, bias: bool = False, split: str = "column") -> nn.Module:
        if self.storage.device.type == "cpu" and self.storage.dtype == torch.bfloat16:
            return QuantizingLinear(d_in, sum(d_outs), bias, self.storage.bits)
        return Linear(d_in, sum(d_outs), bias, self.storage.dtype).to(self.storage.device)

    def attend(self, name: str, spec: Attention) -> Attend:
        return PagedAttention(spec, layout(spec), self.storage, self._places)

    def per_head(self, name: str, heads: int, d_in: int, d_out: int) -> nn.Module:
        return HeadMatrices(heads, d_in, d_out, self.storage.dtype).to(self.storage.device)

    def latent(self, name: str, spec: LatentAttention) -> Latent:
        return PagedLatents(spec, layout(spec), self.storage, self._places)

    def experts(self, name: str, spec: MoE, dim: int) -> nn.Module:
        return Experts(spec, dim, self.storage.dtype).to(self.storage.device)


class Places:
    """Where the tokens of a batch lie: computed by the first layer of each layout, used by the others."""

    def __init__(self) -> None:
        self._batch: Batch | None = None
        self._of: dict[Paged, tuple[Tensor, Tensor]] = {}

    def __call__(self, batch: Batch, layout: Paged) -> tuple[Tensor, Tensor]:
        """(page_T, offset_T) int64"""
        if batch is not self._batch:
            self._batch, self._of = batch, {}
        if layout not in self._of:
            self._of[layout] = places(batch, layout)
        return self._of[layout]


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

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, sinks_H: Tensor | None = None) -> Tensor:
        page_T, offset_T = self.where(batch, self.layout)
        self.k_PGSK[page_T, :, offset_T] = k_TGK
        self.v_PGSK[page_T, :, offset_T] = v_TGK
        table_SW = batch.pages[self.layout]
        if q_THK.shape[0] == table_SW.shape[0]:
            return self._one_each(q_THK, table_SW, batch, sinks_H)
        parts = (self._several(q_THK[rows], table_SW[s], cached, sinks_H) for s, (rows, cached) in enumerate(batch.spans))
        return torch.cat(list(parts))

    def _several(self, q_QHK: Tensor, table_W: Tensor, cached: int, sinks_H: Tensor | None) -> Tensor:
        """New tokens of one sequence, which come after `cached` others."""
        end, reach = cached + q_QHK.shape[0], self.layout.reach
        first = 0 if reach is None else max(0, cached - reach + 1) // PAGE
        pages = table_W[first : -(-end // PAGE)].long()
        k_GMK, v_GMK = (store[pages].transpose(0, 1).flatten(1, 2)[:, : end - first * PAGE] for store in (self.k_PGSK, self.v_PGSK))
        key_M = torch.arange(first * PAGE, end, device=q_QHK.device)
        scores = Scores(self.spec, key_M[None, cached - first * PAGE :, None], key_M, sinks_H)
        return scores.attend(q_QHK.transpose(0, 1)[None], k_GMK[None], v_GMK[None])[0].transpose(0, 1)

    def _one_each(self, q_SHK: Tensor, table_SW: Tensor, batch: Batch, sinks_H: Tensor | None) -> Tensor:
        """One new token per sequence; no synchronisation, so that a CUDA graph can hold it."""
        k_SGMK, v_SGMK = (store[table_SW.long()].transpose(1, 2).flatten(2, 3) for store in (self.k_PGSK, self.v_PGSK))
        key_M = torch.arange(k_SGMK.shape[2], device=q_SHK.device)
        query_S11 = batch.cached_S[:, None, None]
        nothing_S1M1 = unwritten(key_M, query_S11, self.layout.reach)[..., None]
        k_SGMK, v_SGMK = k_SGMK.masked_fill(nothing_S1M1, 0), v_SGMK.masked_fill(nothing_S1M1, 0)
        scores = Scores(self.spec, query_S11, key_M, sinks_H)
        return scores.attend(q_SHK[:, :, None], k_SGMK, v_SGMK)[:, :, 0]


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


def unwritten(key_M: Tensor, query_S11: Tensor, reach: int | None) -> Tensor:
    """bool [S, 1, M]: places of a block table behind the query, or out of reach, whose page may be another sequence's by now:
    they may hold anything, NaN included."""
    behind = key_M > query_S11
    return behind if reach is None else behind | (key_M <= query_S11 - reach)


def layout(spec: Attention | LatentAttention) -> Paged:
    """What one attention layer leaves behind."""
    return caches(Layer(mixer=spec, ffn=MLP(hidden=0)))[0]


def places(batch: Batch, layout: Paged) -> tuple[Tensor, Tensor]:
    """(page_T, offset_T) int64 of the new tokens in `layout`; no synchronisation. Tokens beyond the last sequence's are
    padding, and go where that sequence's would: the caller sees to it that it owns no page."""
    table_SW, positions_T = batch.pages[layout], batch.positions_T
    tokens = torch.arange(positions_T.shape[0], device=positions_T.device, dtype=torch.int32)
    sequence_T = (torch.searchsorted(batch.starts_S1, tokens, right=True) - 1).clamp(max=table_SW.shape[0] - 1)
    return table_SW[sequence_T, positions_T // PAGE].long(), positions_T % PAGE


@dataclass(frozen=True, eq=False)
class Scores:
    """How queries at positions query_BQ1 look at keys at positions key_M."""

    spec: Attention
    query_BQ1: Tensor
    key_M: Tensor
    sinks_H: Tensor | None = None

    def attend(self, q_BHQK: Tensor, k_BGMK: Tensor, v_BGMK: Tensor) -> Tensor:
        """out_BHQK"""
        return attention(self.spec, q_BHQK, k_BGMK, v_BGMK, self._may(), bias=self._bias(), sinks_H=self.sinks_H)

    def _may(self) -> Tensor:
        """bool [B, 1, Q, M], or with H in place of 1 where heads see differently."""
        may = may_see(self.spec.mask, self.query_BQ1, self.key_M)
        return may.unsqueeze(1) if may.dim() == 3 else may.repeat_interleave(self.spec.heads // self.spec.kv_heads, 1)

    def _bias(self) -> Tensor | None:
        """[B, H, Q, M], added to the scores."""
        if not isinstance(self.spec.position, Alibi):
            return None
        back_B1QM = (self.query_BQ1 - self.key_M).unsqueeze(1)
        return -slopes(self.spec, back_B1QM.device)[:, None, None] * back_B1QM


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
    k_BHMK, v_BHMK = (t.repeat_interleave(spec.heads // spec.kv_heads, -3) for t in (k_BGMK, v_BGMK))
    scores_BHQM = wide(q_BHQK @ k_BHMK.transpose(-1, -2)) * scale_of(spec)
    if bias is not None:
        scores_BHQM = scores_BHQM + bias
    if spec.softcap is not None:
        scores_BHQM = (scores_BHQM / spec.softcap).tanh() * spec.softcap
    return softmax(scores_BHQM.masked_fill(~may_BHQM, -torch.inf), sinks_H).to(v_BHMK.dtype) @ v_BHMK
