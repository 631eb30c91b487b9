"""Keys and values in bf16 pages, and the kernels that write and read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.embedded.kernels import library as k
from engine.embedded.native.discard import discard
from engine.embedded.native.ops import Kernels


@dataclass(frozen=True, eq=False)
class Where:
    """The rows of a step's sequences [S + 1], how many there were before them [S], and their pages [S, W]: int32."""

    table_SW: Tensor
    starts_S1: Tensor
    cached_S: Tensor


@dataclass(frozen=True, eq=False)
class Sight:
    """How queries look at keys: the mask's kind and two numbers (masks.py), and what is done to scores."""

    heads: int
    mask: tuple[int, int, int]
    scale: float
    softcap: float = 0.0
    slopes_H: Tensor | None = None
    windows_G: Tensor | None = None


@dataclass(frozen=True, eq=False)
class Extras:
    """What comes with each step: sinks, and a table of offsets (offsets.py) that reaches back so far."""

    sinks_H: Tensor | None = None
    offsets_HO: Tensor | None = None
    back: int = 0


class Pages:
    """Those of one layer. Keys [P, G, K, page], values [P, G, page, K], bf16."""

    def __init__(self, kernels: Kernels, kv_heads: int, head_dim: int, pages: int) -> None:
        self._kernels, self._kv_heads, self._head_dim = kernels, kv_heads, head_dim
        # Fresh memory: the operating system gives pages when they are first written.
        self.keys_PGKT = torch.empty(pages, kv_heads, head_dim, k.PAGE, dtype=torch.bfloat16)
        self.values_PGTK = _with_slack(pages, kv_heads, k.PAGE, head_dim)

    def discard(self, pages: Sequence[int]) -> None:
        """Nothing that is in them is needed any more."""
        discard(self.keys_PGKT, pages)
        discard(self.values_PGTK, pages)

    def remember(self, k_TGK: Tensor, v_TGK: Tensor, where: Where) -> None:
        g, d, sequences, pitch = self._kv_heads, self._head_dim, len(where.cached_S), where.table_SW.stride(0)
        strides = (k_TGK.stride(0), k_TGK.stride(1), v_TGK.stride(0), v_TGK.stride(1))
        given = (k_TGK, v_TGK, self.keys_PGKT, self.values_PGTK, where.table_SW, where.starts_S1, where.cached_S)
        self._kernels.run(k.REMEMBER, given, (sequences, g, d, pitch, *strides, len(k_TGK)))

    def look(self, q_THK: Tensor, where: Where, sight: Sight, extras: Extras) -> Tensor:
        """out_THK"""
        run, h, g, d, tokens = self._kernels.run, sight.heads, self._kv_heads, self._head_dim, len(q_THK)
        (sequences, width), pitch = where.table_SW.shape, where.table_SW.stride(0)
        out_THK = self._kernels.empty(tokens, h, d)
        splits = -(-width * k.PAGE // k.SPLIT) if tokens == sequences else 0
        partial = self._kernels.empty(tokens * h, splits, 16 + -(-d // 16) * 16) if splits else None
        kind, *numbers = sight.mask
        sizes = (sequences, g, d, pitch, q_THK.stride(0), q_THK.stride(1), h, kind, splits, *numbers, extras.back)
        pages = (self.keys_PGKT, self.values_PGTK, where.table_SW, where.starts_S1, where.cached_S)
        given = (q_THK, *pages, out_THK, partial, sight.slopes_H, extras.sinks_H, sight.windows_G, extras.offsets_HO)
        run(k.ATTEND, given, sizes, (sight.scale, sight.softcap))
        if partial is not None:
            run(k.COMBINE, (partial, where.cached_S, out_THK, extras.sinks_H), (sequences, h, d, splits, kind))
        return out_THK


def _with_slack(*shape: int) -> Tensor:
    """Memory of which a little more may be read: the kernels take sixteen values at a time."""
    count = torch.Size(shape).numel()
    return torch.empty(count + k.PAGE, dtype=torch.bfloat16)[:count].view(shape)
