"""Attention over pages: of a sequence's own tokens, and of what its encoder has read."""

import torch
from torch import Tensor

from engine.embedded.kernels.library import PAGE
from engine.embedded.native.masks import FULL, numbers_of
from engine.embedded.native.offsets import OffsetTable
from engine.embedded.native.ops import Kernels
from engine.embedded.native.pages import Extras, Pages, Sight, Where
from engine.embedded.on_torch.scores import Scores
from models.batch import Batch
from models.score_bias import PLAIN, Scoring, scale_of, slopes
from models.spec import Alibi, Attention, CrossAttention, GroupedWindow, Paged


class PagedAttention:
    """The leaf: owns the pages of one layer and no weight."""

    def __init__(self, kernels: Kernels, spec: Attention, pages: int, group: Paged) -> None:
        mask = numbers_of(spec.mask)
        if mask is None:
            raise ValueError(f"a decoder cannot look ahead: {spec.mask}")
        self._kernels, self.group, self._spec = kernels, group, spec
        self._sight = Sight(
            heads=spec.heads,
            mask=mask,
            scale=scale_of(spec),
            softcap=spec.softcap or 0.0,
            slopes_H=slopes(spec, torch.device("cpu")) if isinstance(spec.position, Alibi) else None,
            windows_G=torch.tensor(spec.mask.sizes, dtype=torch.int32) if isinstance(spec.mask, GroupedWindow) else None,
        )
        self._offsets = OffsetTable(spec, ahead=False)
        self.pages = Pages(kernels, spec.kv_heads, spec.head_dim, pages)

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        where = Where(batch.pages[self.group], batch.starts_S1, batch.cached_S)
        self._kernels.watch(batch.starts_S1[-1:])
        self.pages.remember(k_TGK, v_TGK, where)
        if batch.ends_T is not None:
            return self._look_ahead(q_THK, where, batch, batch.ends_T, scoring)
        return self.pages.look(q_THK, where, self._sight, Extras(scoring.sinks_H, self._offsets(scoring.relative), self._offsets.far))

    def _look_ahead(self, q_THK: Tensor, where: Where, batch: Batch, ends_T: Tensor, scoring: Scoring) -> Tensor:
        """Of a step some of whose tokens see others that come behind them, which no kernel does."""
        out = list[Tensor]()
        for s, (rows, cached) in enumerate(batch.spans):
            end = cached + rows.stop - rows.start
            # what lay on pages behind a window's reach is gone, and nobody sees it
            first = 0 if self.group.reach is None else max(0, cached - self.group.reach + 1)
            pages, key_M = where.table_SW[s, : -(-end // PAGE)].long().clamp(min=0), torch.arange(first, end)
            k_1GMK = self.pages.keys_PGKT[pages].permute(1, 0, 3, 2).flatten(1, 2)[None, :, first:end].float()
            v_1GMK = self.pages.values_PGTK[pages].transpose(0, 1).flatten(1, 2)[None, :, first:end].float()
            scores = Scores(self._spec, torch.arange(cached, end)[None, :, None], key_M, scoring, ends_T[None, rows, None])
            out.append(scores.attend(q_THK[rows].transpose(0, 1)[None].float(), k_1GMK, v_1GMK)[0].transpose(0, 1))
        return torch.cat(out).contiguous()


class PagedCross:
    """The same of what an encoder has read: written once, and looked at as a whole."""

    def __init__(self, kernels: Kernels, spec: CrossAttention, pages: int, group: Paged) -> None:
        self.group = group
        self._sight = Sight(heads=spec.heads, mask=(FULL, 0, 0), scale=scale_of(spec.scores))
        self.pages = Pages(kernels, spec.kv_heads, spec.head_dim, pages)

    def __call__(self, q_THK: Tensor, new: tuple[Tensor, Tensor] | None, batch: Batch) -> Tensor:
        if batch.inputs_S is None:
            raise ValueError("the batch does not say how much its sequences' encoders have read")
        if batch.crossing is not None:
            raise ValueError("no kernel looks at a part of what has been read")
        if new is not None and batch.encoding is not None:
            read = batch.encoding.batch
            self.pages.remember(*new, Where(read.pages[self.group], read.starts_S1, read.cached_S))
        return self.pages.look(q_THK, Where(batch.pages[self.group], batch.starts_S1, batch.inputs_S), self._sight, Extras())

    def keys(self, new: tuple[Tensor, Tensor] | None, batch: Batch, sequence: int) -> Tensor:
        """Implements models.batch.Cross's; `new` has been written."""
        length = batch.inputs[sequence]
        pages = batch.pages[self.group][sequence, : -(-length // PAGE)].long()
        return self.pages.keys_PGKT[pages].permute(0, 3, 1, 2).flatten(0, 1)[:length].float()
