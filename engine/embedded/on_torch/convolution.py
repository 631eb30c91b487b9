"""Long convolutions over pages: what every token of a sequence gave to them is kept.

S sequences, C channels, P positions that there are taps for, W table width, Q new tokens of a sequence, M tokens looked at.
"""

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from engine.embedded.on_torch.pages import Places, Storage, unwritten
from models.batch import Batch
from models.ops import wide
from models.spec import LongConv, Paged


class PagedConvolution:
    """Implements models.batch.Convolve. Owns memory and no parameter."""

    def __init__(self, spec: LongConv, layout: Paged, storage: Storage, where: Places) -> None:
        self._layout, self._where = layout, where
        shape = (storage.pages[layout] + 1, PAGE, spec.channels)
        self._u_PSC = torch.empty(shape, dtype=storage.dtype, device=storage.device)
        if storage.fill_nan:
            self._u_PSC.fill_(torch.nan)

    def __call__(self, u_TC: Tensor, taps_PC: Tensor, batch: Batch) -> Tensor:
        self._u_PSC[self._where(batch, self._layout)] = u_TC
        table_SW = batch.pages[self._layout].long()
        if len(u_TC) == len(table_SW):
            return self._one_each(table_SW, taps_PC, batch.cached_S[:, None].long())
        spans = [(rows.stop - rows.start, cached) for rows, cached in batch.spans]
        return torch.cat([self._several(table_W, taps_PC, *span) for table_W, span in zip(table_SW, spans, strict=True)])

    def _one_each(self, table_SW: Tensor, taps_PC: Tensor, query_S1: Tensor) -> Tensor:
        """y_SC; no synchronisation, so that a CUDA graph can hold it."""
        u_SMC = wide(self._u_PSC[table_SW].flatten(1, 2))
        key_M = torch.arange(u_SMC.shape[1], device=u_SMC.device)
        u_SMC = u_SMC.masked_fill(unwritten(key_M, query_S1[..., None], None).mT, 0)
        return (u_SMC * taps_PC[(query_S1 - key_M).clamp(0)]).sum(1)

    def _several(self, table_W: Tensor, taps_PC: Tensor, new: int, cached: int) -> Tensor:
        """y_QC of the new tokens, by frequencies."""
        tokens = cached + new
        u_MC = wide(self._u_PSC[table_W[: -(-tokens // PAGE)]].flatten(0, 1)[:tokens])
        size = 1 << (tokens + new - 2).bit_length()  # what goes round reaches tokens before the new ones only
        u_CF, taps_CF = (torch.fft.rfft(t.T.to(u_MC.dtype), size) for t in (u_MC, taps_PC[:tokens]))
        return torch.fft.irfft(u_CF * taps_CF, size)[:, cached:tokens].T
