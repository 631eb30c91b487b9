"""Of attention, and of mixers of every kind."""

from collections.abc import Iterator
from math import prod

from models.spec.arch import Arch
from models.spec.caches import remembered
from models.spec.check.problem import Problem, positive
from models.spec.check.recurrent import long_conv, recurrent
from models.spec.check.rope import rope
from models.spec.long_conv import LongConv
from models.spec.masks import (
    BlockCausal,
    BlockSparse,
    Chunked,
    Fixed,
    Full,
    GroupedWindow,
    Mask,
    Neighbourhood,
    Ring,
    Sorted,
    Strided,
    Window,
)
from models.spec.mixers import Attention, LatentAttention, LocalGlobalAttention, LshAttention, Single
from models.spec.outputs import Denoised, Next
from models.spec.positions import Alibi, Disentangled, RelativeBias
from models.spec.recurrent import Recurrent
from models.spec.windows import ShiftedWindowAttention

MOST_BUCKETS = 32767  # what is remembered of a token's are two bytes


def single(mixer: Single, arch: Arch) -> Iterator[Problem]:
    if isinstance(arch.output, Next) and (not remembered(mixer) or isinstance(_mask_of(mixer), BlockCausal)):
        yield ".mixer.mask", "sees tokens ahead, which a decoder has not got yet: take Causal, Window or the like"
    if isinstance(arch.output, Denoised) and not isinstance(_mask_of(mixer), Full | BlockCausal):
        yield ".mixer", "must be an Attention with the mask Full or BlockCausal: what is denoised looks at what comes behind it"
    if isinstance(mixer, Recurrent):
        yield from recurrent(mixer, arch)
    elif isinstance(mixer, LongConv):
        yield from long_conv(mixer, arch)
    else:
        yield from _mask(mixer.mask)
        yield from _mixer(mixer)
        if isinstance(mixer, ShiftedWindowAttention) and arch.patches is None:
            yield ".mixer", "cannot be ShiftedWindowAttention where no images are read"


def _mask_of(mixer: Single) -> Mask | None:
    return mixer.mask if isinstance(mixer, Attention) else None


def _mixer(mixer: Attention | LatentAttention | LocalGlobalAttention | LshAttention | ShiftedWindowAttention) -> Iterator[Problem]:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k, position=position, mask=mask):
            yield from positive(mixer, ".mixer", "heads", "kv_heads", "head_dim")
            if g > 0 and h % g:
                yield ".mixer.heads", f"= {h} is no multiple of kv_heads = {g}"
            if isinstance(mask, GroupedWindow) and len(mask.sizes) != g:
                yield ".mixer.mask.sizes", f"must have kv_heads = {g} numbers, not {len(mask.sizes)}"
            yield from rope(position, k, "head_dim")
            yield from _relative(position, mask)
            if isinstance(mask, BlockSparse) and (mixer.sinks or isinstance(position, Alibi | RelativeBias | Disentangled)):
                yield ".mixer.mask", "cannot be BlockSparse beside sinks, or a position that adds to the scores"
        case LatentAttention(rope_dim=p, position=position, mask=mask):
            yield from positive(mixer, ".mixer", "heads", "kv_rank", "rope_dim", "nope_dim", "value_dim")
            if isinstance(mask, GroupedWindow):
                yield ".mixer.mask", "cannot be a GroupedWindow: latent attention has one key for all heads"
            yield from rope(position, p, "rope_dim")
        case LocalGlobalAttention():
            yield from positive(mixer, ".mixer", "heads", "head_dim")
        case ShiftedWindowAttention(window=window, shift=shift):
            yield from positive(mixer, ".mixer", "heads", "head_dim", "window")
            if not 0 <= shift < window:
                yield ".mixer.shift", f"= {shift} must lie between 0 and window = {window}"
        case LshAttention(buckets=buckets):
            yield from positive(mixer, ".mixer", "heads", "head_dim", "rounds")
            if not buckets or any(n < 2 or n % 2 for n in buckets) or prod(buckets) > MOST_BUCKETS:
                yield ".mixer.buckets", f"must be even numbers whose product is at most {MOST_BUCKETS}"


def _relative(position: object, mask: Mask) -> Iterator[Problem]:
    match position:
        case RelativeBias(buckets=buckets, max_distance=most):
            ways = 1 if mask.ahead == 0 else 2
            if buckets % (2 * ways) or buckets < 2 * ways:
                yield ".mixer.position.buckets", f"= {buckets} must be a multiple of {2 * ways}: half of them are for near keys"
            elif most <= buckets // (2 * ways):
                yield ".mixer.position.max_distance", f"= {most} must be more than {buckets // (2 * ways)}, the number of near keys"
        case Disentangled(span=span, max_distance=most, keys=keys, queries=queries):
            if span < 1:
                yield ".mixer.position.span", f"= {span} must be positive"
            elif most is not None and (span < 4 or most <= span // 2 + 1):
                yield (
                    ".mixer.position.max_distance",
                    f"= {most} needs a span of 4 at least, and must be more than {span // 2 + 1}, half of it",
                )
            if not keys and not queries:
                yield ".mixer.position.keys", "must be true where queries is false: otherwise positions would change nothing"
        case _:
            pass


def _mask(mask: Mask | Sorted) -> Iterator[Problem]:
    match mask:
        case Window():
            yield from positive(mask, ".mixer.mask", "size")
        case Chunked(before=before) | Sorted(before=before):
            yield from positive(mask, ".mixer.mask", "size")
            if before < 0:
                yield ".mixer.mask.before", f"= {before} must not be negative"
        case BlockSparse(random=random):
            yield from positive(mask, ".mixer.mask", "size")
            if random < 0:
                yield ".mixer.mask.random", f"= {random} must not be negative"
        case Ring(before=before, after=after):
            yield from positive(mask, ".mixer.mask", "size", "least", "multiple")
            if min(before, after) < 0 or mask.multiple % mask.size:
                yield ".mixer.mask", f"needs before and after of at least 0, and multiple = {mask.multiple} to be one of size = {mask.size}"
        case Strided():
            yield from positive(mask, ".mixer.mask", "local", "stride")
        case Fixed(size=size, summary=summary):
            yield from positive(mask, ".mixer.mask", "size")
            if not 0 <= summary <= size:
                yield ".mixer.mask.summary", f"= {summary} must lie between 0 and size = {size}"
        case GroupedWindow(sizes=sizes):
            if not sizes or min(sizes) < 1:
                yield ".mixer.mask.sizes", "must be positive"
        case BlockCausal(size=size):
            if size < 2:
                yield ".mixer.mask.size", f"= {size} must be 2 at least: Causal is the mask of single tokens"
        case Neighbourhood(distance=distance):
            if distance < 0:
                yield ".mixer.mask.distance", f"= {distance} must not be negative"
        case _:
            assert not isinstance(mask, Full) or mask.ahead is None
