"""What types cannot say of an architecture: numbers that must fit together."""

from collections.abc import Iterator
from dataclasses import replace
from math import prod

from models.spec.arch import Arch, Layer, beside_embedding, mixers, streams
from models.spec.block import SharedBlock
from models.spec.caches import remembered
from models.spec.ffn import FFN, MLP, Clamped, MoE, Sigmoid, Softmax
from models.spec.json_form import SpecError
from models.spec.linear import ChannelDecay, LinearAttention, Rwkv7
from models.spec.long_conv import LongConv
from models.spec.masks import BlockSparse, Chunked, Fixed, Full, GroupedWindow, Mask, Neighbourhood, Ring, Sorted, Strided, Window
from models.spec.mixers import Attention, LatentAttention, LocalGlobalAttention, LshAttention, Parallel, Single
from models.spec.outputs import Next
from models.spec.positions import Alibi, Axial, Disentangled, Divided, Learned, LongRope, RelativeBias, Rope, Sinusoidal
from models.spec.recurrent import S4, Mamba, Mamba2, Recurrent, RgLru, ShortConv

MOST_BUCKETS = 32767  # what is remembered of a token's are two bytes
CLAMPED = "must be true: the clamped activation needs a gate"

Problem = tuple[str, str]  # path below the architecture, what is wrong


def check(arch: Arch, path: str = "arch") -> None:
    """Raises SpecError for the first thing that cannot be built or run."""
    for where, problem in problems(arch):
        raise SpecError(f"{path}{where} {problem}")


def problems(arch: Arch) -> Iterator[Problem]:
    yield from _positive(arch, "", "dim", "vocab", "context")
    yield from _position(arch)
    if arch.ngrams is not None and isinstance(arch.output, Next):
        yield ".ngrams", "must be left out: they see tokens ahead, which a decoder has not got yet"
    elif arch.ngrams is not None and (arch.ngrams.kernel < 1 or arch.ngrams.kernel % 2 == 0):
        yield ".ngrams.kernel", f"= {arch.ngrams.kernel} must be odd: as many tokens before as after"
    if isinstance(arch.output, Next) and arch.output.bias and arch.tied:
        yield ".output.bias", "must be false where tied is true: a tied head has no bias"
    if any((layer.placement == "reversible") != (streams(arch) == 2) for layer in arch.layers):
        yield ".layers", "must all have the placement reversible, or none of them"
    if streams(arch) == 2 and (arch.tied or arch.embed_dim or arch.ngrams):
        name = ".tied" if arch.tied else ".embed_dim" if arch.embed_dim else ".ngrams"
        yield name, "cannot be where layers are reversible: their rows are two streams wide"
    if not any(map(mixers, arch.layers)):
        yield ".layers", "must have a mixer in one of them at least: otherwise no token would see another"
    for i, layer in enumerate(arch.layers):
        for where, problem in (*_layer(layer, arch), *_shared(i, arch), *_first_values(i, arch)):
            yield f".layers[{i}]{where}", problem


def _position(arch: Arch) -> Iterator[Problem]:
    match arch.position:
        case Learned(count=count) | Axial(count=count) if count < arch.context:
            yield ".position.count", f"= {count} is less than context = {arch.context}: some positions would have no row"
        case Axial(row_dim=row_dim, column_dim=column_dim) if row_dim + column_dim != beside_embedding(arch):
            yield ".position", f"must have a row_dim and a column_dim that are {beside_embedding(arch)} together"
        case Sinusoidal() if (rows := beside_embedding(arch)) % 2 or rows < 4:
            yield ".position", f"cannot be Sinusoidal: sines and cosines need an even number of columns, 4 at least, not {rows}"
        case _:
            pass


def _shared(number: int, arch: Arch) -> Iterator[Problem]:
    layer = arch.layers[number]
    if layer.block is not None and layer.block.weights_of is not None:
        yield from _shared_block(number, layer.block, layer.block.weights_of, arch)
    if (owner := layer.weights_of) is None:
        return
    if not 0 <= owner < number or arch.layers[owner].weights_of is not None:
        yield ".weights_of", f"= {owner} must be the number of an earlier layer that has weights of its own"
    elif arch.layers[owner] != replace(layer, weights_of=None):
        yield ".weights_of", f"= {owner} must be the number of a layer that is built alike"


def _shared_block(number: int, block: SharedBlock, owner: int, arch: Arch) -> Iterator[Problem]:
    found = arch.layers[owner].block if 0 <= owner < number else None
    if found is None or found != replace(block, weights_of=None):
        yield ".block.weights_of", f"= {owner} must be the number of an earlier layer whose block is built alike, with weights of its own"


def _first_values(number: int, arch: Arch) -> Iterator[Problem]:
    def sizes(layer: Layer, first: bool) -> set[tuple[int, int]]:
        return {(m.heads, m.head_dim) for m in mixers(layer) if isinstance(m, Rwkv7) and (m.first is None) == first}

    if sizes(arch.layers[number], False) - {size for layer in arch.layers[:number] for size in sizes(layer, True)}:
        yield ".mixer.first", "must be null: no earlier layer has values of its own for heads of this size"


def _layer(layer: Layer, arch: Arch) -> Iterator[Problem]:
    if isinstance(layer.mixer, Parallel) and len(layer.mixer.mixers) < 2:
        yield ".mixer.mixers", "must be two at least: one alone stands where Parallel does"
    for i, mixer in enumerate(mixers(layer)):
        place = f".mixer.mixers[{i}]" if isinstance(layer.mixer, Parallel) else ".mixer"
        yield from ((where.replace(".mixer", place, 1), problem) for where, problem in _single(mixer, arch))
    if layer.ffn is not None:
        yield from _ffn(layer.ffn, arch)
    if layer.block is not None:
        yield from _block(layer, layer.block, arch)
    if layer.mixer is None and layer.ffn is None:
        yield ".ffn", "must not be null where mixer is null, too: the layer would do nothing"
    elif None in (layer.mixer, layer.ffn) and layer.placement != "pre":
        yield ".placement", f"= {layer.placement} needs a mixer and a feed-forward part: without one of them it must be pre"


def _block(layer: Layer, block: SharedBlock, arch: Arch) -> Iterator[Problem]:
    alone = layer.mixer is not None and layer.ffn is None and layer.placement == "pre" and layer.weights_of is None
    if not alone or not isinstance(arch.output, Next):
        yield ".block", "can only be beside a mixer without a feed-forward part, with weights of its own, in a decoder"
    if not isinstance(block.attention.position, Rope | Alibi | None):
        yield ".block.attention.position", "must be Rope, Alibi or null"
    yield from ((where.replace(".mixer", ".block.attention", 1), problem) for where, problem in _single(block.attention, arch))
    if block.ffn.shift is not None:
        yield ".block.ffn.shift", "must be null: a shared block keeps no token before for its feed-forward part"
    yield from ((f".block{where}", problem) for where, problem in _ffn(block.ffn, arch))
    yield from _positive(block, ".block", "rank")


def _single(mixer: Single, arch: Arch) -> Iterator[Problem]:
    if isinstance(arch.output, Next) and not remembered(mixer):
        yield ".mixer.mask", "sees tokens ahead, which a decoder has not got yet: take Causal, Window or the like"
    if isinstance(mixer, Recurrent):
        yield from _recurrent(mixer, arch)
    elif isinstance(mixer, LongConv):
        yield from _long_conv(mixer, arch)
    else:
        yield from _mask(mixer.mask)
        yield from _mixer(mixer)


def _recurrent(mixer: Recurrent, arch: Arch) -> Iterator[Problem]:
    if not isinstance(arch.output, Next):
        yield ".mixer.type", f"= {type(mixer).__name__} is for decoders: an encoder has no state of a sequence"
    if not isinstance(mixer, S4 | Rwkv7) and mixer.kernel is not None and mixer.kernel < 2:
        yield ".mixer.kernel", f"= {mixer.kernel} must be 2 at least"
    match mixer:
        case Mamba():
            yield from _positive(mixer, ".mixer", "inner", "state", "rank")
        case Mamba2(heads=h, groups=g):
            yield from _positive(mixer, ".mixer", "heads", "head_dim", "state", "groups")
            if g > 0 and h % g:
                yield ".mixer.heads", f"= {h} is no multiple of groups = {g}"
            if mixer.norm_first and mixer.norm is None:
                yield ".mixer.norm_first", "must be false where norm is null"
        case ShortConv():
            yield from _positive(mixer, ".mixer", "channels")
        case LinearAttention():
            yield from _linear(mixer)
        case RgLru(channels=c, blocks=blocks):
            yield from _positive(mixer, ".mixer", "channels", "blocks")
            if blocks > 0 and c % blocks:
                yield ".mixer.channels", f"= {c} is no multiple of blocks = {blocks}"
        case Rwkv7(heads=h, head_dim=k, first=first):
            yield from _positive(mixer, ".mixer", "heads", "head_dim", "decay_rank", "rate_rank", "gate_rank")
            if first is not None:
                yield from _positive(first, ".mixer.first", "rank")
            if h * k != arch.dim:
                yield ".mixer.heads", f"= {h} times head_dim = {k} must be dim = {arch.dim}"
        case S4(channels=c):
            yield from _positive(mixer, ".mixer", "state")
            if c != arch.dim:
                yield ".mixer.channels", f"= {c} must be dim = {arch.dim}"


def _long_conv(mixer: LongConv, arch: Arch) -> Iterator[Problem]:
    if not isinstance(arch.output, Next):
        yield ".mixer.type", "= LongConv is for decoders: its filters look back only"
    yield from _positive(mixer, ".mixer", "channels")
    yield from _positive(mixer.filter, ".mixer.filter", "bands", "hidden")
    if min(mixer.order, mixer.kernel) < 2:
        yield ".mixer.order" if mixer.order < 2 else ".mixer.kernel", "must be 2 at least"
    if mixer.filter.depth < 0:
        yield ".mixer.filter.depth", f"= {mixer.filter.depth} must not be negative"
    if mixer.filter.length < max(2, arch.context):
        yield ".mixer.filter.length", f"= {mixer.filter.length} is less than context = {arch.context}, or than 2"


def _linear(mixer: LinearAttention) -> Iterator[Problem]:
    yield from _positive(mixer, ".mixer", "heads", "key_heads", "key_dim", "value_dim")
    if mixer.key_heads > 0 and mixer.heads % mixer.key_heads:
        yield ".mixer.heads", f"= {mixer.heads} is no multiple of key_heads = {mixer.key_heads}"
    if isinstance(mixer.decay, ChannelDecay):
        yield from _positive(mixer.decay, ".mixer.decay", "rank")
    if mixer.gate is not None and mixer.gate.rank is not None:
        yield from _positive(mixer.gate, ".mixer.gate", "rank")
    yield from _rope(mixer.position, mixer.key_dim, "key_dim")


def _mixer(mixer: Attention | LatentAttention | LocalGlobalAttention | LshAttention) -> Iterator[Problem]:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k, position=position, mask=mask):
            yield from _positive(mixer, ".mixer", "heads", "kv_heads", "head_dim")
            if g > 0 and h % g:
                yield ".mixer.heads", f"= {h} is no multiple of kv_heads = {g}"
            if isinstance(mask, GroupedWindow) and len(mask.sizes) != g:
                yield ".mixer.mask.sizes", f"must have kv_heads = {g} numbers, not {len(mask.sizes)}"
            yield from _rope(position, k, "head_dim")
            yield from _relative(position, mask)
            if isinstance(mask, BlockSparse) and (mixer.sinks or isinstance(position, Alibi | RelativeBias | Disentangled)):
                yield ".mixer.mask", "cannot be BlockSparse beside sinks, or a position that adds to the scores"
        case LatentAttention(rope_dim=p, position=position, mask=mask):
            yield from _positive(mixer, ".mixer", "heads", "kv_rank", "rope_dim", "nope_dim", "value_dim")
            if isinstance(mask, GroupedWindow):
                yield ".mixer.mask", "cannot be a GroupedWindow: latent attention has one key for all heads"
            yield from _rope(position, p, "rope_dim")
        case LocalGlobalAttention():
            yield from _positive(mixer, ".mixer", "heads", "head_dim")
        case LshAttention(buckets=buckets):
            yield from _positive(mixer, ".mixer", "heads", "head_dim", "rounds")
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


def _rope(position: object, room: int, room_name: str) -> Iterator[Problem]:
    if not isinstance(position, Rope):
        return
    if position.dim % 2 or not 0 < position.dim <= room:
        yield ".mixer.position.dim", f"= {position.dim} must be even, and at most {room_name} = {room}"
    counts = {
        name: len(getattr(position.scaling, name))
        for name in ("factors", "short", "long")
        if isinstance(position.scaling, Divided | LongRope) and hasattr(position.scaling, name)
    }
    for name, count in counts.items():
        if count != position.dim // 2:
            yield f".mixer.position.scaling.{name}", f"must have {position.dim // 2} numbers, one for each frequency, not {count}"


def _mask(mask: Mask | Sorted) -> Iterator[Problem]:
    match mask:
        case Window():
            yield from _positive(mask, ".mixer.mask", "size")
        case Chunked(before=before) | Sorted(before=before):
            yield from _positive(mask, ".mixer.mask", "size")
            if before < 0:
                yield ".mixer.mask.before", f"= {before} must not be negative"
        case BlockSparse(random=random):
            yield from _positive(mask, ".mixer.mask", "size")
            if random < 0:
                yield ".mixer.mask.random", f"= {random} must not be negative"
        case Ring(before=before, after=after):
            yield from _positive(mask, ".mixer.mask", "size", "least", "multiple")
            if min(before, after) < 0 or mask.multiple % mask.size:
                yield ".mixer.mask", f"needs before and after of at least 0, and multiple = {mask.multiple} to be one of size = {mask.size}"
        case Strided():
            yield from _positive(mask, ".mixer.mask", "local", "stride")
        case Fixed(size=size, summary=summary):
            yield from _positive(mask, ".mixer.mask", "size")
            if not 0 <= summary <= size:
                yield ".mixer.mask.summary", f"= {summary} must lie between 0 and size = {size}"
        case GroupedWindow(sizes=sizes):
            if not sizes or min(sizes) < 1:
                yield ".mixer.mask.sizes", "must be positive"
        case Neighbourhood(distance=distance):
            if distance < 0:
                yield ".mixer.mask.distance", f"= {distance} must not be negative"
        case _:
            assert not isinstance(mask, Full) or mask.ahead is None


def _ffn(ffn: FFN, arch: Arch) -> Iterator[Problem]:
    match ffn:
        case MLP(gated=gated, activation=activation):
            yield from _positive(ffn, ".ffn", "hidden")
            if isinstance(activation, Clamped) and not gated:
                yield ".ffn.gated", CLAMPED
            if ffn.shift is not None and not isinstance(arch.output, Next):
                yield ".ffn.shift", "must be null: an encoder has no token before, as it has no state of a sequence"
            if ffn.shift is not None and ffn.shift.channels != arch.dim:
                yield ".ffn.shift.channels", f"= {ffn.shift.channels} must be dim = {arch.dim}"
        case MoE():
            yield from _moe(ffn)


def _moe(ffn: MoE) -> Iterator[Problem]:
    yield from _positive(ffn, ".ffn", "experts", "active", "hidden")
    if ffn.active > ffn.experts:
        yield ".ffn.active", f"= {ffn.active} is more than experts = {ffn.experts}"
    if ffn.latent is not None:
        yield from _positive(ffn, ".ffn", "latent")
    if isinstance(ffn.activation, Clamped) and not ffn.gated:
        yield ".ffn.gated", CLAMPED
    if ffn.shared < 0 or (ffn.shared_gate and not ffn.shared):
        yield ".ffn.shared", f"= {ffn.shared} must be positive where there is a shared expert, and 0 otherwise"
    if not isinstance(ffn.router, Softmax | Sigmoid) or ffn.router.groups is None:
        return
    groups = ffn.router.groups
    if groups.count < 1 or ffn.experts % groups.count or not 1 <= groups.active <= groups.count:
        yield ".ffn.router.groups", f"must divide experts = {ffn.experts}, and at most all of them be active"
    elif ffn.active > groups.active * (ffn.experts // groups.count):
        yield ".ffn.active", f"= {ffn.active} is more than the active groups have experts"
    elif groups.score == "top2" and ffn.experts // groups.count < 2:
        yield ".ffn.router.groups.score", "= top2 needs groups of two experts at least"


def _positive(value: object, path: str, *names: str) -> Iterator[Problem]:
    for name in names:
        if getattr(value, name) < 1:
            yield f"{path}.{name}", f"= {getattr(value, name)} must be positive"
