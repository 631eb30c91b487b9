"""Caches: what a layer must remember, derived from its spec alone."""

from math import prod

from models.spec.arch import Arch, Layer
from models.spec.masks import BlockSparse, Full, Neighbourhood
from models.spec.mixers import Attention, LatentAttention, LocalGlobalAttention
from models.spec.outputs import Next
from models.spec.value import spec


@spec
class Paged:
    """Grows with the sequence, page by page; pages further back than `reach` tokens are freed."""

    per_token: tuple[tuple[int, ...], ...]  # what one token leaves behind: ((G, K), (G, V)) or ((R,), (K,))
    reach: int | None = None

    def floats(self, tokens: int) -> int:
        """Numbers one layer keeps for a sequence of `tokens`."""
        return min(tokens, self.reach or tokens) * sum(map(prod, self.per_token))


def caches(layer: Layer) -> tuple[Paged, ...]:
    """What `layer` must remember of a sequence. Nothing where tokens look ahead: their sequence comes in one step."""
    match layer.mixer:
        case Attention(mask=mask) | LatentAttention(mask=mask) if isinstance(mask, BlockSparse | Full | Neighbourhood):
            return ()
        case LocalGlobalAttention():
            return ()
        case Attention(kv_heads=g, head_dim=k, mask=mask):
            return (Paged(per_token=((g, k), (g, k)), reach=mask.reach),)
        case LatentAttention(kv_rank=r, rope_dim=k, mask=mask):
            return (Paged(per_token=((r,), (k,)), reach=mask.reach),)


def groups(arch: Arch) -> dict[Paged, list[int]]:
    """Layers that share a cache layout share one block table: layout -> layer numbers. An encoder remembers nothing."""
    out: dict[Paged, list[int]] = {}
    if not isinstance(arch.output, Next):
        return out
    for i, layer in enumerate(arch.layers):
        for cache in caches(layer):
            out.setdefault(cache, []).append(i)
    return out
