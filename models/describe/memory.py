"""What a sequence leaves in memory, and what it would with another kind of attention."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

from models.spec import (
    Arch,
    Attention,
    GroupedWindow,
    LatentAttention,
    Layer,
    Parallel,
    Single,
    Window,
    all_mixers,
    crossed_rows,
    groups,
    map_mixers,
    slots,
)


@dataclass(frozen=True)
class Variant:
    """The same model with another kind of cache. Bytes count all layers."""

    name: str
    bytes_per_token: int  # while no window is full
    bytes_per_context: int


def cache_bytes(arch: Arch, tokens: int, bytes_per_number: int = 2) -> int:
    """What all layers remember of one sequence, and of an encoder's input that is as long, or as long as may be."""
    read = min(tokens, crossed_rows(arch)[1])
    lengths = {"self": tokens, "encoder": read}
    grows = bytes_per_number * sum(cache.floats(lengths[cache.of]) * len(layers) for cache, layers in groups(arch).items())
    return grows + state_bytes(arch, bytes_per_number)


def state_bytes(arch: Arch, bytes_per_number: int = 2) -> int:
    """The part of it that does not grow."""
    return sum(prod(slot.shape) * (4 if slot.wide else bytes_per_number) for slot in slots(arch))


def variant(name: str, arch: Arch, tokens: int, bytes_per_number: int) -> Variant:
    """`tokens`: of a context."""
    state, one, all_ = state_bytes(arch, bytes_per_number), *(cache_bytes(arch, n, bytes_per_number) for n in (1, tokens))
    return Variant(name, one - state, all_)


def kinds(arch: Arch) -> dict[str, Arch]:
    """None of what remembers nothing. MLA with the sizes that DeepSeek-V2 chose (arXiv 2405.04434): latent 4 head
    dimensions, rotary key half a one."""
    if not groups(arch):
        return {}
    return {
        "MHA": _map(arch, lambda a: replace(a, kv_heads=a.heads)),
        "GQA": _map(arch, lambda a: replace(a, kv_heads=_grouped(a))),
        "MQA": _map(arch, lambda a: replace(a, kv_heads=1)),
        "MLA": _map(arch, _latent, lambda latent: latent),
    }


def _latent(a: Attention) -> LatentAttention:
    k, mask = a.head_dim, Window(size=max(a.mask.sizes)) if isinstance(a.mask, GroupedWindow) else a.mask
    return LatentAttention(heads=a.heads, kv_rank=4 * k, rope_dim=k // 2, nope_dim=k, value_dim=k, mask=mask)


def _grouped(a: Attention) -> int:
    """The model's own number of key/value heads where it groups, else one for as many heads as divide, 8 at most."""
    if 1 < a.kv_heads < a.heads:
        return a.kv_heads
    return a.heads // max(n for n in range(1, 9) if a.heads % n == 0)


def _map(arch: Arch, change: Callable[[Attention], Single], latent: Callable[[LatentAttention], Single] | None = None) -> Arch:
    """Layers that attend, changed; latent attention (by default) as the heads that it stands for."""

    def changed(mixer: Single) -> Single:
        match mixer:
            case Attention():
                return change(mixer)
            case LatentAttention():
                return change(_heads(mixer)) if latent is None else latent(mixer)
            case _:
                return mixer

    return replace(arch, layers=tuple(map_mixers(_without_block(layer), changed) for layer in arch.layers))


def _without_block(layer: Layer) -> Layer:
    """A layer that remembers the same."""
    found = all_mixers(layer)
    return layer if layer.block is None else replace(layer, block=None, mixer=Parallel(mixers=found))


def _heads(a: LatentAttention) -> Attention:
    """Keys and values together are as long."""
    return Attention(heads=a.heads, kv_heads=a.heads, head_dim=(a.rope_dim + a.nope_dim + a.value_dim) // 2, mask=a.mask)
