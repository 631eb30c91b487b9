"""How a data sheet says what differs from the family it starts from."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from models.hf import ConfigError
from models.spec import Arch, Layer, Mask, Parallel, Single, map_mixers, mixers


def each(arch: Arch, change: Callable[[Layer], Layer]) -> Arch:
    """The same change to every layer."""
    return replace(arch, layers=tuple(map(change, arch.layers)))


def mixer(layer: Layer, **changes: Any) -> Layer:
    return map_mixers(layer, lambda one: replace(one, **changes))


def ffn(layer: Layer, **changes: Any) -> Layer:
    if layer.ffn is None:
        raise TypeError("this layer has no feed-forward part")
    return replace(layer, ffn=replace(layer.ffn, **changes))


def beside(layer: Layer, other: Single) -> Layer:
    """The same layer with one more mixer in parallel."""
    return replace(layer, mixer=Parallel(mixers=(*mixers(layer), other)))


def masked(layer: Layer, mask: Mask) -> Layer:
    """The same layer, looking at other tokens."""
    return mixer(layer, mask=mask)


def where(arch: Arch, chosen: Sequence[bool], change: Callable[[Layer], Layer]) -> Arch:
    """The change to the chosen layers; one answer for each."""
    layers = (change(layer) if is_chosen else layer for layer, is_chosen in zip(arch.layers, chosen, strict=True))
    return replace(arch, layers=tuple(layers))


def sliding(types: tuple[str, ...], count: int) -> tuple[bool, ...]:
    """Which layers see a window only. Raises ConfigError for other kinds and for another number of layers."""
    unknown = set(types) - {"sliding_attention", "full_attention"}
    if unknown or len(types) != count:
        raise ConfigError(f"layer_types must say sliding_attention or full_attention for each of {count} layers, not {list(types)}")
    return tuple(t == "sliding_attention" for t in types)


def pattern(every: int, count: int) -> tuple[str, ...]:
    """layer_types of old: all layers local but each last of `every`."""
    return tuple("sliding_attention" if (i + 1) % every else "full_attention" for i in range(count))
