"""A model's memory in plain torch, on any device: pages of K and V per attention layer, found through block tables.

T tokens, S sequences, H heads, G kv heads, K head dim, P pages, W table width, M tokens looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.embedded.linear import QuantizingLinear
from engine.embedded.page_pool import PAGE
from models.batch import Attend, Batch
from models.ops import Ops
from models.reference import Embedding, Linear, visible
from models.spec import MLP, Attention, Layer, Paged, caches


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

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch) -> Tensor:
        page_T, offset_T = self.where(batch, self.layout)
        self.k_PGSK[page_T, :, offset_T] = k_TGK
        self.v_PGSK[page_T, :, offset_T] = v_TGK
        table_SW = batch.pages[self.layout]
        if q_THK.shape[0] == table_SW.shape[0]:
            return self._one_each(q_THK, table_SW, batch)
        return torch.cat([self._several(q_THK[rows], table_SW[s], cached) for s, (rows, cached) in enumerate(batch.spans)])

    def _several(self, q_QHK: Tensor, table_W: Tensor, cached: int) -> Tensor:
        """New tokens of one sequence, which come after `cached` others."""
        end, reach = cached + q_QHK.shape[0], self.layout.reach
        first = 0 if reach is None else max(0, cached - reach + 1) // PAGE
        pages = table_W[first : -(-end // PAGE)].long()
        k_GMK, v_GMK = (store[pages].transpose(0, 1).flatten(1, 2)[:, : end - first * PAGE] for store in (self.k_PGSK, self.v_PGSK))
        may_QM = visible(q_QHK.shape[0], k_GMK.shape[1], reach, q_QHK.device)
        return attention(self.spec, q_QHK.transpose(0, 1), k_GMK, v_GMK, may_QM).transpose(0, 1)

    def _one_each(self, q_SHK: Tensor, table_SW: Tensor, batch: Batch) -> Tensor:
        """One new token per sequence; no synchronisation, so that a CUDA graph can hold it."""
        k_SGMK, v_SGMK = (store[table_SW.long()].transpose(1, 2).flatten(2, 3) for store in (self.k_PGSK, self.v_PGSK))
        key_M = torch.arange(k_SGMK.shape[2], device=q_SHK.device)
        may_SM = key_M <= batch.cached_S[:, None]
        if self.layout.reach is not None:
            may_SM &= key_M > batch.cached_S[:, None] - self.layout.reach
        unseen = ~may_SM[:, None, :, None]  # may hold anything, NaN included
        k_SGMK, v_SGMK = k_SGMK.masked_fill(unseen, 0), v_SGMK.masked_fill(unseen, 0)
        return attention(self.spec, q_SHK[:, :, None], k_SGMK, v_SGMK, may_SM[:, None, None])[:, :, 0]


def layout(spec: Attention) -> Paged:
    """What one attention layer leaves behind."""
    return caches(Layer(mixer=spec, ffn=MLP(hidden=0)))[0]


def places(batch: Batch, layout: Paged) -> tuple[Tensor, Tensor]:
    """(page_T, offset_T) int64 of the new tokens in `layout`; no synchronisation. Tokens beyond the last sequence's are
    padding, and go where that sequence's would: the caller sees to it that it owns no page."""
    table_SW, positions_T = batch.pages[layout], batch.positions_T
    tokens = torch.arange(positions_T.shape[0], device=positions_T.device, dtype=torch.int32)
    sequence_T = (torch.searchsorted(batch.starts_S1, tokens, right=True) - 1).clamp(max=table_SW.shape[0] - 1)
    return table_SW[sequence_T, positions_T // PAGE].long(), positions_T % PAGE


def attention(spec: Attention, q_HQK: Tensor, k_GMK: Tensor, v_GMK: Tensor, may_QM: Tensor) -> Tensor:
    """out_HQK; any leading axes before H and G. `may_QM`: bool, may the query see the key."""
    scale = spec.head_dim**-0.5 if spec.scale is None else spec.scale
    if spec.softcap is None:
        shared = spec.heads != spec.kv_heads
        return F.scaled_dot_product_attention(q_HQK, k_GMK, v_GMK, attn_mask=may_QM, scale=scale, enable_gqa=shared)
    k_HMK, v_HMK = (t.repeat_interleave(spec.heads // spec.kv_heads, -3) for t in (k_GMK, v_GMK))
    scores_HQM = (q_HQK @ k_HMK.transpose(-1, -2)).float() * scale
    scores_HQM = (scores_HQM / spec.softcap).tanh() * spec.softcap
    return scores_HQM.masked_fill(~may_QM, -torch.inf).softmax(-1).to(v_HMK.dtype) @ v_HMK
