"""What an architecture is, in numbers: counted from its spec, before any module exists. For `stoa arch`."""

from dataclasses import dataclass, replace
from typing import Literal

from models.describe import frames
from models.describe.attended import keys
from models.describe.memory import Variant, cache_bytes, kinds, state_bytes, variant
from models.describe.operations import flops
from models.describe.parameters import active_parameters, encoder_parameters, parameters
from models.spec import Arch, Frames, Tower, all_mixers, groups, tower

TOKENS_PER_PARAMETER = 20
LENGTHS = tuple(1 << n for n in range(10, 21, 2))  # tokens, 1 k to 1 M


__all__ = [
    "CacheGroup",
    "Description",
    "Variant",
    "View",
    "active_parameters",
    "cache_bytes",
    "describe",
    "flops",
    "parameters",
    "state_bytes",
]


@dataclass(frozen=True)
class CacheGroup:
    """Layers that remember the same: their numbers, in what shapes, how many tokens back (None: all), and of what."""

    layers: tuple[int, ...]
    per_token: tuple[tuple[int, ...], ...]
    reach: int | None
    of: Literal["self", "encoder"] = "self"


@dataclass(frozen=True)
class View:
    """Layers whose tokens see alike: their numbers, how far back (the token itself included) and ahead (None: to the
    sequence's end), and how many keys the last token of a full context reads; of an encoder's, one in the middle."""

    layers: tuple[int, ...]
    reach: int | None
    ahead: int | None
    keys: int


@dataclass(frozen=True)
class Description:
    layers: int
    context: int
    parameters: int
    active_parameters: int  # those that compute one token: of experts, the chosen ones
    flops_per_token: int  # at the start of a sequence (of an encoder: in one of one token); two per multiply-add
    flops_per_token_full: int  # with the whole context remembered (of an encoder: in a sequence as long)
    optimal_tokens: int  # to train it on, by Hoffmann et al. 2022 (arXiv 2203.15556): 20 for each active parameter
    optimal_flops: int  # of that training: 6 for each active parameter and token
    views: tuple[View, ...]
    caches: tuple[CacheGroup, ...]
    bytes_per_token: int
    bytes_per_sequence: int  # states, which do not grow
    bytes_per_context: int  # both
    variants: tuple[Variant, ...]
    encoder: "Description | None"  # of an encoder-decoder: that of its encoder alone
    curve: tuple[tuple[int, int], ...]  # tokens of a text, and the bytes that are kept of it; also of more than the context


def describe(arch: Arch, *, context: int | None = None, bytes_per_number: int = 2) -> Description:
    """`context` (default: the checkpoint's own) is what "per context" and "full" mean."""
    tokens = arch.context if context is None else context
    own, active = variant("", arch, tokens, bytes_per_number), active_parameters(arch)
    return Description(
        layers=len(arch.layers),
        context=tokens,
        parameters=parameters(arch),
        active_parameters=active,
        flops_per_token=flops(arch, 1),
        flops_per_token_full=flops(arch, tokens),
        optimal_tokens=TOKENS_PER_PARAMETER * active,
        optimal_flops=6 * active * TOKENS_PER_PARAMETER * active,
        views=_views(arch, tokens),
        caches=tuple(
            CacheGroup(tuple(dict.fromkeys(layers)), cache.per_token, cache.reach, cache.of) for cache, layers in groups(arch).items()
        ),
        bytes_per_token=own.bytes_per_token,
        bytes_per_sequence=state_bytes(arch, bytes_per_number),
        bytes_per_context=own.bytes_per_context,
        encoder=None if arch.encoder is None else _encoder(arch.encoder, arch.vocab),
        curve=tuple((length, cache_bytes(arch, length, bytes_per_number)) for length in LENGTHS),
        variants=tuple(variant(name, changed, tokens, bytes_per_number) for name, changed in kinds(arch).items()),
    )


def _encoder(encoder: Tower, vocab: int) -> Description:
    own = describe(tower(encoder, vocab))
    if not isinstance(encoder.input, Frames):
        return own
    convolved, rest = frames.operations(encoder.input, encoder.dim), encoder_parameters(encoder, vocab)
    flops_per_token, full = own.flops_per_token + 2 * convolved, own.flops_per_token_full + 2 * convolved
    return replace(own, parameters=rest, active_parameters=rest, flops_per_token=flops_per_token, flops_per_token_full=full)


def _views(arch: Arch, tokens: int) -> tuple[View, ...]:
    alike: dict[tuple[int | None, int | None, int], list[int]] = {}
    for i, mixer in ((i, mixer) for i, layer in enumerate(arch.layers) for mixer in all_mixers(layer)):
        alike.setdefault((mixer.mask.reach, mixer.mask.ahead, keys(mixer, arch, tokens)), []).append(i)
    return tuple(View(tuple(dict.fromkeys(layers)), *view) for view, layers in alike.items())
