"""Caches: what a layer must remember, derived from its spec alone."""

from math import prod
from typing import Literal

from models.spec.arch import Arch, Layer, all_mixers
from models.spec.cross import CrossAttention
from models.spec.ffn import MLP
from models.spec.linear import LinearAttention, Rwkv7
from models.spec.long_conv import LongConv
from models.spec.masks import BlockSparse, Full, GridWindow, Hubs, Neighbourhood, Ring
from models.spec.mixers import Attention, LatentAttention, LocalGlobalAttention, LshAttention, Single
from models.spec.outputs import Writes
from models.spec.recurrent import S4, Mamba, Mamba2, RgLru, ShortConv
from models.spec.value import spec
from models.spec.windows import ShiftedWindowAttention


@spec
class Paged:
    """Grows with the sequence, page by page; pages further back than `reach` tokens are freed. Those `of` an encoder's input are written
    once, all of them, and stay as many as they are."""

    per_token: tuple[tuple[int, ...], ...]  # what one token leaves behind: ((G, K), (G, V)), ((R,), (K,)) or ((H, K), (H, K), (H, rounds))
    reach: int | None = None
    of: Literal["self", "encoder"] = "self"

    def floats(self, tokens: int) -> int:
        """Numbers one layer keeps for a sequence of `tokens`."""
        return min(tokens, self.reach or tokens) * sum(map(prod, self.per_token))


@spec
class Slot:
    """Stays as large as it is: `shape` numbers for each sequence, in float32 if `wide`, else as precise as the model's rows."""

    shape: tuple[int, ...]
    wide: bool = False


def caches(layer: Layer) -> tuple[Paged | Slot, ...]:
    """What `layer` must remember of a sequence, in the order of its mixers, then of its encoder's input, and then of its feed-forward
    part."""
    of_ffn = (Slot(shape=(layer.ffn.shift.channels, 1)),) if isinstance(layer.ffn, MLP) and layer.ffn.shift else ()
    of_encoder = () if layer.cross is None else (crossed(layer.cross),)
    return *(cache for mixer in all_mixers(layer) for cache in remembered(mixer)), *of_encoder, *of_ffn


def crossed(cross: CrossAttention) -> Paged:
    """What each row of the encoder's input leaves behind."""
    return Paged(per_token=((cross.kv_heads, cross.head_dim),) * 2, of="encoder")


def remembered(mixer: Single) -> tuple[Paged | Slot, ...]:
    """By one mixer. Nothing where tokens look ahead: their sequence comes in one step."""
    match mixer:
        case Attention(mask=mask) | LatentAttention(mask=mask) if isinstance(
            mask, BlockSparse | Full | GridWindow | Hubs | Neighbourhood | Ring
        ):
            return ()
        case LocalGlobalAttention() | LshAttention(mask=Ring()) | ShiftedWindowAttention():
            return ()
        case Attention(kv_heads=g, head_dim=k, mask=mask):
            return (Paged(per_token=((g, k), (g, k)), reach=mask.reach),)
        case LatentAttention(kv_rank=r, rope_dim=k, mask=mask):
            return (Paged(per_token=((r,), (k,)), reach=mask.reach),)
        case Mamba(inner=i, state=n, kernel=k):
            return Slot(shape=(i, k - 1)), Slot(shape=(i, n), wide=True)
        case Mamba2(heads=h, head_dim=v, state=n, groups=g, kernel=k):
            return Slot(shape=(h * v + 2 * g * n, k - 1)), Slot(shape=(h, n, v), wide=True)
        case ShortConv(channels=c, kernel=k):
            return (Slot(shape=(c, k - 1)),)
        case LinearAttention(heads=h, key_heads=g, key_dim=k, value_dim=v, kernel=kernel):
            window = () if kernel is None else (Slot(shape=(2 * g * k + h * v, kernel - 1)),)
            return *window, Slot(shape=(h, k, v), wide=True)
        case RgLru(channels=c, kernel=k):
            return Slot(shape=(c, k - 1)), Slot(shape=(c, 1, 1), wide=True)
        case Rwkv7(heads=h, head_dim=k):
            return Slot(shape=(h * k, 1)), Slot(shape=(h, k, k), wide=True)
        case S4(channels=c, state=n):
            return (Slot(shape=(c, n, 2), wide=True),)  # real and imaginary parts
        case LongConv(channels=c, order=o, kernel=k):
            return Slot(shape=((o + 1) * c, k - 1)), Paged(per_token=((c,),) * (o - 1))
        case LshAttention(heads=h, head_dim=k, rounds=r):
            return (Paged(per_token=((h, k), (h, k), (h, r))),)


def groups(arch: Arch) -> dict[Paged, list[int]]:
    """Layers that share a cache layout share one block table: layout -> layer numbers, one as often as it has mixers of the
    layout. An encoder remembers nothing."""
    out: dict[Paged, list[int]] = {}
    if not isinstance(arch.output, Writes):
        return out
    for i, layer in enumerate(arch.layers):
        for cache in caches(layer):
            if isinstance(cache, Paged):
                out.setdefault(cache, []).append(i)
    return out


def slots(arch: Arch) -> list[Slot]:
    """Of all layers, in their order."""
    return [cache for layer in arch.layers for cache in caches(layer) if isinstance(cache, Slot)]
