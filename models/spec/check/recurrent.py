"""Of mixers with states, and of long convolutions."""

from collections.abc import Iterator

from models.spec.arch import Arch
from models.spec.check.problem import Problem, positive
from models.spec.check.rope import rope
from models.spec.linear import ChannelDecay, LinearAttention, Rwkv7
from models.spec.long_conv import LongConv
from models.spec.outputs import Writes
from models.spec.recurrent import S4, Mamba, Mamba2, Recurrent, RgLru, ShortConv


def recurrent(mixer: Recurrent, arch: Arch) -> Iterator[Problem]:
    if not isinstance(arch.output, Writes):
        yield ".mixer.type", f"= {type(mixer).__name__} is for decoders: an encoder has no state of a sequence"
    if not isinstance(mixer, S4 | Rwkv7) and mixer.kernel is not None and mixer.kernel < 2:
        yield ".mixer.kernel", f"= {mixer.kernel} must be 2 at least"
    match mixer:
        case Mamba():
            yield from positive(mixer, ".mixer", "inner", "state", "rank")
        case Mamba2(heads=h, groups=g):
            yield from positive(mixer, ".mixer", "heads", "head_dim", "state", "groups")
            if g > 0 and h % g:
                yield ".mixer.heads", f"= {h} is no multiple of groups = {g}"
            if mixer.norm_first and mixer.norm is None:
                yield ".mixer.norm_first", "must be false where norm is null"
        case ShortConv():
            yield from positive(mixer, ".mixer", "channels")
        case LinearAttention():
            yield from _linear(mixer)
        case RgLru(channels=c, blocks=blocks):
            yield from positive(mixer, ".mixer", "channels", "blocks")
            if blocks > 0 and c % blocks:
                yield ".mixer.channels", f"= {c} is no multiple of blocks = {blocks}"
        case Rwkv7(heads=h, head_dim=k, first=first):
            yield from positive(mixer, ".mixer", "heads", "head_dim", "decay_rank", "rate_rank", "gate_rank")
            if first is not None:
                yield from positive(first, ".mixer.first", "rank")
            if h * k != arch.dim:
                yield ".mixer.heads", f"= {h} times head_dim = {k} must be dim = {arch.dim}"
        case S4(channels=c):
            yield from positive(mixer, ".mixer", "state")
            if c != arch.dim:
                yield ".mixer.channels", f"= {c} must be dim = {arch.dim}"


def long_conv(mixer: LongConv, arch: Arch) -> Iterator[Problem]:
    if not isinstance(arch.output, Writes):
        yield ".mixer.type", "= LongConv is for decoders: its filters look back only"
    yield from positive(mixer, ".mixer", "channels")
    yield from positive(mixer.filter, ".mixer.filter", "bands", "hidden")
    if min(mixer.order, mixer.kernel) < 2:
        yield ".mixer.order" if mixer.order < 2 else ".mixer.kernel", "must be 2 at least"
    if mixer.filter.depth < 0:
        yield ".mixer.filter.depth", f"= {mixer.filter.depth} must not be negative"
    if mixer.filter.length < max(2, arch.context):
        yield ".mixer.filter.length", f"= {mixer.filter.length} is less than context = {arch.context}, or than 2"


def _linear(mixer: LinearAttention) -> Iterator[Problem]:
    yield from positive(mixer, ".mixer", "heads", "key_heads", "key_dim", "value_dim")
    if mixer.key_heads > 0 and mixer.heads % mixer.key_heads:
        yield ".mixer.heads", f"= {mixer.heads} is no multiple of key_heads = {mixer.key_heads}"
    if isinstance(mixer.decay, ChannelDecay):
        yield from positive(mixer.decay, ".mixer.decay", "rank")
    if mixer.gate is not None and mixer.gate.rank is not None:
        yield from positive(mixer.gate, ".mixer.gate", "rank")
    yield from rope(mixer.position, mixer.key_dim, "key_dim")
