"""Keys and values of encoders' inputs in pages: written once, and looked at as a whole by every token of an answer.

T tokens, S sequences, H heads, G kv heads, K head dim, P pages, W table width, M rows of an input.
"""

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.on_torch.pages import Storage, places
from engine.embedded.on_torch.scores import attention
from models.batch import Batch, Crossing, Encoding
from models.spec import CrossAttention, Paged


class PagedCross:
    """One layer's K and V: [P + 1, G, PAGE, K], as in `PagedAttention`. Owns memory and no parameter."""

    def __init__(self, spec: CrossAttention, layout: Paged, storage: Storage) -> None:
        self.spec, self.layout = spec, layout
        shape = (storage.pages[layout] + 1, spec.kv_heads, PAGE, spec.head_dim)
        self.k_PGSK, self.v_PGSK = (torch.empty(shape, dtype=storage.dtype, device=storage.device) for _ in range(2))
        if storage.fill_nan:
            self.k_PGSK.fill_(torch.nan)
            self.v_PGSK.fill_(torch.nan)

    def __call__(self, q_THK: Tensor, new: tuple[Tensor, Tensor] | None, batch: Batch) -> Tensor:
        if new is not None and batch.encoding is not None:
            self._write(*new, batch.encoding)
        table_SW = batch.pages[self.layout]
        if q_THK.shape[0] == table_SW.shape[0] and batch.inputs_S is not None:
            return self._one_each(q_THK, table_SW, batch.inputs_S, batch.crossing)
        seen = [None if batch.crossing is None else batch.crossing[rows] for rows, _ in batch.spans]
        found = zip(batch.spans, batch.inputs, table_SW, seen, strict=True)
        return torch.cat([self._several(q_THK[rows], table_W, length, crossing) for (rows, _), length, table_W, crossing in found])

    def keys(self, new: tuple[Tensor, Tensor] | None, batch: Batch, sequence: int) -> Tensor:
        """Implements models.batch.Cross's; `new` has been written."""
        return self._read(self.k_PGSK, batch.pages[self.layout][sequence], batch.inputs[sequence]).transpose(0, 1)

    def _write(self, k_TGK: Tensor, v_TGK: Tensor, encoding: Encoding) -> None:
        page_T, offset_T = places(encoding.batch, self.layout)
        self.k_PGSK[page_T, :, offset_T] = k_TGK
        self.v_PGSK[page_T, :, offset_T] = v_TGK

    def _several(self, q_QHK: Tensor, table_W: Tensor, length: int, crossing: Crossing | None) -> Tensor:
        """Tokens of one sequence, whose input has `length` rows."""
        if not length:
            return torch.zeros_like(q_QHK)
        k_GMK, v_GMK = (self._read(store, table_W, length) for store in (self.k_PGSK, self.v_PGSK))
        may_QM = q_QHK.new_ones((len(q_QHK), length), dtype=torch.bool) if crossing is None else crossing.may(length)
        return attention(self.spec.scores, q_QHK.transpose(0, 1)[None], k_GMK[None], v_GMK[None], may_QM[None, None])[0].transpose(0, 1)

    def _read(self, store_PGSK: Tensor, table_W: Tensor, length: int) -> Tensor:
        """[G, M, K]"""
        pages = table_W[: -(-length // PAGE)].long()
        return store_PGSK[pages].transpose(0, 1).flatten(1, 2)[:, :length]

    def _one_each(self, q_SHK: Tensor, table_SW: Tensor, length_S: Tensor, crossing: Crossing | None) -> Tensor:
        """One token per sequence; no synchronisation."""
        k_SGMK, v_SGMK = (store[table_SW.long()].transpose(1, 2).flatten(2, 3) for store in (self.k_PGSK, self.v_PGSK))
        may_S11M = (torch.arange(k_SGMK.shape[2], device=q_SHK.device) < length_S[:, None])[:, None, None]
        nothing_S1M1 = ~may_S11M.transpose(2, 3)
        k_SGMK, v_SGMK = k_SGMK.masked_fill(nothing_S1M1, 0), v_SGMK.masked_fill(nothing_S1M1, 0)
        if crossing is not None:
            may_S11M = may_S11M & crossing.may(k_SGMK.shape[2])[:, None, None]
        return attention(self.spec.scores, q_SHK[:, :, None], k_SGMK, v_SGMK, may_S11M)[:, :, 0]
