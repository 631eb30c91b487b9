"""Memory in plain torch, on any device: which page a token lies in, and what the pages are made of.

T tokens, S sequences, P pages, W table width, M tokens looked at.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.embedded.memory.page_pool import PAGE
from models.batch import Batch
from models.spec import Layer, Mixer, Paged, caches


@dataclass(frozen=True, kw_only=True)
class Storage:
    """`pages`: pages per layout. `slots`: of states (None: the model has none). `bits`: quantize dense weights to so many; None: leave
    them. `fill_nan`: fresh pages hold NaN, so that a read of what was never written shows (tests)."""

    pages: Mapping[Paged, int]
    slots: int | None = None
    device: torch.device
    dtype: torch.dtype = torch.bfloat16
    bits: int | None = None
    fill_nan: bool = False


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


def places(batch: Batch, layout: Paged) -> tuple[Tensor, Tensor]:
    """(page_T, offset_T) int64 of the new tokens in `layout`; no synchronisation. Tokens beyond the last sequence's are
    padding, and go where that sequence's would: the caller sees to it that it owns no page."""
    table_SW, positions_T = batch.pages[layout], batch.positions_T
    tokens = torch.arange(positions_T.shape[0], device=positions_T.device, dtype=torch.int32)
    sequence_T = (torch.searchsorted(batch.starts_S1, tokens, right=True) - 1).clamp(max=table_SW.shape[0] - 1)
    return table_SW[sequence_T, positions_T // PAGE].long(), positions_T % PAGE


def unwritten(key_M: Tensor, query_S11: Tensor, reach: int | None) -> Tensor:
    """bool [S, 1, M]: places of a block table behind the query, or out of reach, whose page may be another sequence's by now:
    they may hold anything, NaN included."""
    behind = key_M > query_S11
    return behind if reach is None else behind | (key_M <= query_S11 - reach)


def layout(spec: Mixer) -> Paged:
    """What one attention layer leaves behind."""
    return next(cache for cache in caches(Layer(mixer=spec, ffn=None)) if isinstance(cache, Paged))
