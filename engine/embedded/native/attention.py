"""Keys and values in bf16 pages, and the kernels that write and read them."""

import torch
from torch import Tensor

from engine.embedded.kernels import library as k
from engine.embedded.native.masks import numbers_of
from engine.embedded.native.ops import Kernels
from models.batch import Batch
from models.score_bias import PLAIN, Scoring, scale_of, slopes
from models.spec import Alibi, Attention, GroupedWindow, Paged


class PagedAttention:
    """The leaf: owns the pages of one layer and no weight. Keys [P, G, K, page], values [P, G, page, K], bf16."""

    def __init__(self, kernels: Kernels, spec: Attention, pages: int, group: Paged) -> None:
        g, d = spec.kv_heads, spec.head_dim
        self._kernels, self._spec, self._group = kernels, spec, group
        mask = numbers_of(spec.mask)
        if mask is None:
            raise ValueError(f"a decoder cannot look ahead: {spec.mask}")
        self._mask = mask
        self._slopes_H = slopes(spec, torch.device("cpu")) if isinstance(spec.position, Alibi) else None
        self._windows_G = torch.tensor(spec.mask.sizes, dtype=torch.int32) if isinstance(spec.mask, GroupedWindow) else None
        # Fresh memory: the operating system gives pages when they are first written.
        self.keys_PGKT = torch.empty(pages, g, d, k.PAGE, dtype=torch.bfloat16)
        self.values_PGTK = _with_slack(pages, g, k.PAGE, d)

    def __call__(self, q_THK: Tensor, k_TGK: Tensor, v_TGK: Tensor, batch: Batch, scoring: Scoring = PLAIN) -> Tensor:
        spec, run = self._spec, self._kernels.run
        table_SW = batch.pages[self._group]
        tokens, (sequences, width), pitch = len(q_THK), table_SW.shape, table_SW.stride(0)
        g, d, h = spec.kv_heads, spec.head_dim, spec.heads
        strides = (k_TGK.stride(0), k_TGK.stride(1), v_TGK.stride(0), v_TGK.stride(1))
        where = (table_SW, batch.starts_S1, batch.cached_S)
        self._kernels.watch(batch.starts_S1[-1:])
        run(k.REMEMBER, (k_TGK, v_TGK, self.keys_PGKT, self.values_PGTK, *where), (sequences, g, d, pitch, *strides, tokens))
        out_THK = self._kernels.empty(tokens, h, d)
        splits = -(-width * k.PAGE // k.SPLIT) if tokens == sequences else 0
        partial = self._kernels.empty(tokens * h, splits, 16 + -(-d // 16) * 16) if splits else None
        kind, *numbers = self._mask
        sizes = (sequences, g, d, pitch, q_THK.stride(0), q_THK.stride(1), h, kind, splits, *numbers)
        given = (q_THK, self.keys_PGKT, self.values_PGTK, *where, out_THK, partial, self._slopes_H, scoring.sinks_H, self._windows_G)
        run(k.ATTEND, given, sizes, (scale_of(spec), spec.softcap or 0.0))
        if partial is not None:
            run(k.COMBINE, (partial, batch.cached_S, out_THK, scoring.sinks_H), (sequences, h, d, splits))
        return out_THK


def _with_slack(*shape: int) -> Tensor:
    """Memory of which a little more may be read: the kernels take sixteen values at a time."""
    count = torch.Size(shape).numel()
    return torch.empty(count + k.PAGE, dtype=torch.bfloat16)[:count].view(shape)
