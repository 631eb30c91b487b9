"""What an architecture is, in numbers: counted from its spec, before any module exists. For `stoa arch`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import prod

from models import describe_recurrent as recurrent
from models.attended import attended, keys
from models.spec import (
    FFN,
    MLP,
    Arch,
    Attention,
    Axial,
    Classifier,
    Dense,
    Disentangled,
    GroupedWindow,
    LatentAttention,
    Layer,
    Learned,
    LocalGlobalAttention,
    LshAttention,
    Mamba,
    Mamba2,
    Mixer,
    MoE,
    Next,
    Ngrams,
    Norm,
    Pooled,
    QKNorm,
    RelativeBias,
    ShortConv,
    Sigmoid,
    Sinusoidal,
    Window,
    beside_embedding,
    groups,
    slots,
    streams,
)

TOKENS_PER_PARAMETER = 20


@dataclass(frozen=True)
class CacheGroup:
    """Layers that remember the same: their numbers, in what shapes, and how many tokens back (None: all)."""

    layers: tuple[int, ...]
    per_token: tuple[tuple[int, ...], ...]
    reach: int | None


@dataclass(frozen=True)
class View:
    """Layers whose tokens see alike: their numbers, how far back (the token itself included) and ahead (None: to the
    sequence's end), and how many keys the last token of a full context reads; of an encoder's, one in the middle."""

    layers: tuple[int, ...]
    reach: int | None
    ahead: int | None
    keys: int


@dataclass(frozen=True)
class Variant:
    """The same model with another kind of cache. Bytes count all layers."""

    name: str
    bytes_per_token: int  # while no window is full
    bytes_per_context: int


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


def describe(arch: Arch, *, context: int | None = None, bytes_per_number: int = 2) -> Description:
    """`context` (default: the checkpoint's own) is what "per context" and "full" mean."""
    tokens = arch.context if context is None else context
    own, active = _variant("", arch, tokens, bytes_per_number), active_parameters(arch)
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
        caches=tuple(CacheGroup(tuple(layers), cache.per_token, cache.reach) for cache, layers in groups(arch).items()),
        bytes_per_token=own.bytes_per_token,
        bytes_per_sequence=state_bytes(arch, bytes_per_number),
        bytes_per_context=own.bytes_per_context,
        variants=tuple(_variant(name, changed, tokens, bytes_per_number) for name, changed in _variants(arch).items()),
    )


def _views(arch: Arch, tokens: int) -> tuple[View, ...]:
    alike: dict[tuple[int | None, int | None, int], list[int]] = {}
    for i, mixer in enumerate(layer.mixer for layer in arch.layers):
        alike.setdefault((mixer.mask.reach, mixer.mask.ahead, keys(mixer, arch, tokens)), []).append(i)
    return tuple(View(tuple(layers), *view) for view, layers in alike.items())


def parameters(arch: Arch) -> int:
    """Numbers in all matrices, biases and norms."""
    owners = [layer for layer in arch.layers if layer.weights_of is None]
    between = _between(arch) + _tables([layer.mixer for layer in owners], arch.dim) + _ngrams(arch.ngrams, arch.dim)
    return _embedded(arch) + between + sum(_layer(x, arch.dim) for x in owners) + _norm(arch.norm, arch.dim * streams(arch)) + _output(arch)


def _embedded(arch: Arch) -> int:
    """All that stands before the first layer, but for the matrix that widens it."""
    rows = arch.embed_dim or arch.dim
    beside = beside_embedding(arch)
    added = _positions(arch.position, beside) + arch.segments * beside
    return arch.vocab * rows + added + _norm(arch.embed_norm, beside)


def _positions(position: Learned | Sinusoidal | Axial | None, dim: int) -> int:
    match position:
        case None | Sinusoidal():
            return 0
        case Learned(count=count):
            return count * dim
        case Axial(rows=rows, columns=columns, row_dim=row_dim, column_dim=column_dim):
            return rows * row_dim + columns * column_dim


def active_parameters(arch: Arch) -> int:
    """The same without the experts that one token does not choose."""
    idle = (_idle(layer.ffn, arch.dim) for layer in arch.layers if layer.weights_of is None)
    return parameters(arch) - sum(idle)


def _idle(ffn: FFN | None, dim: int) -> int:
    match ffn:
        case None | MLP():
            return 0
        case MoE(experts=e, active=a):
            return (e - a) * _expert(ffn, dim)


def flops(arch: Arch, tokens: int) -> int:
    """To compute one more token and its logits when `tokens` (itself included) are seen: 2 for each multiply-add of a
    matrix or of attention; norms, rotations and activations are left out, and of encoders what is done once for a
    whole sequence."""
    logits = arch.vocab * (arch.embed_dim or arch.dim) * streams(arch) if isinstance(arch.output, Next) else 0
    convolution = arch.ngrams.kernel * arch.dim**2 if arch.ngrams else 0
    matrices = (
        _between(arch)
        - _widen_bias(arch)
        + convolution
        + sum(_mixer_matrices(x.mixer, arch.dim) + _ffn_matrices(x.ffn, arch.dim) for x in arch.layers)
    )
    return 2 * (logits + matrices + sum(attended(layer.mixer, arch, tokens) for layer in arch.layers))


def cache_bytes(arch: Arch, tokens: int, bytes_per_number: int = 2) -> int:
    """What all layers remember of one sequence."""
    grows = bytes_per_number * sum(cache.floats(tokens) * len(layers) for cache, layers in groups(arch).items())
    return grows + state_bytes(arch, bytes_per_number)


def state_bytes(arch: Arch, bytes_per_number: int = 2) -> int:
    """The part of it that does not grow."""
    return sum(prod(slot.shape) * (4 if slot.wide else bytes_per_number) for slot in slots(arch))


def _between(arch: Arch) -> int:
    """What brings rows of the embedding to the body's width, and in a decoder back."""
    ways = 2 if isinstance(arch.output, Next) else 1
    return ways * arch.dim * arch.embed_dim + _widen_bias(arch) if arch.embed_dim else 0


def _ngrams(ngrams: Ngrams | None, dim: int) -> int:
    return ngrams.kernel * dim**2 + dim + _norm(ngrams.norm, dim) if ngrams else 0


def _widen_bias(arch: Arch) -> int:
    return arch.dim if arch.embed_dim and not isinstance(arch.output, Next) else 0


def _output(arch: Arch) -> int:
    match arch.output:
        case Next(bias=bias):
            return 0 if arch.tied else arch.vocab * ((arch.embed_dim or arch.dim) * streams(arch) + bias)
        case Pooled(pooling=kinds, layers=layers):
            return _dense(layers, arch.dim * streams(arch) * len(kinds))
        case Classifier(labels=labels, hidden=hidden):
            return _dense((hidden, Dense(width=labels)), arch.dim * streams(arch))


def _dense(layers: Sequence[Dense], inputs: int) -> int:
    widths = (inputs, *(layer.width for layer in layers))
    return sum(layer.width * (i + layer.bias) + _norm(layer.norm, layer.width) for i, layer in zip(widths, layers, strict=False))


_NORMS = {"pre": 2, "pre_ffn": 1, "post": 2, "sandwich": 4, "after": 2, "parallel": 2, "parallel_shared": 1, "reversible": 2}


def _layer(layer: Layer, dim: int) -> int:
    norms = 1 if layer.ffn is None else _NORMS[layer.placement]
    return _norm(layer.norm, dim) * norms + _mixer(layer.mixer, dim) + _ffn(layer.ffn, dim)


def _norm(norm: Norm | None, dim: int) -> int:
    if norm is None or norm.kind == "rms_unweighted":
        return 0
    return 2 * dim if norm.kind == "layer" else dim


def _mixer(mixer: Mixer, dim: int) -> int:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            biases = ((h + 2 * g) * k + _gates(mixer)) * mixer.bias + dim * mixer.out_bias
            sinks_and_norms = h * mixer.sinks + _head_norms(mixer.qk_norm, mixer)
            return _mixer_matrices(mixer, dim) + biases + sinks_and_norms + (dim + mixer.bias) * _of_positions(mixer)
        case LatentAttention(kv_rank=r, q_rank=q, rope_dim=p):
            norms = _norm(mixer.norm, r) + (_norm(mixer.norm, q) if q else 0)
            return _mixer_matrices(mixer, dim) + norms + ((q or 0) + r + p) * mixer.bias + dim * mixer.out_bias
        case LshAttention():
            return _mixer_matrices(mixer, dim)
        case LocalGlobalAttention(heads=h, head_dim=k):
            return _mixer_matrices(mixer, dim) + dim * h * k + 6 * h * k * mixer.bias + dim * mixer.out_bias
        case Mamba() | Mamba2() | ShortConv():
            return recurrent.matrices(mixer, dim) + recurrent.vectors(mixer, dim)


def _gates(mixer: Attention) -> int:
    """Numbers that multiply what comes out of one token's attention."""
    return {None: 0, "head": mixer.heads, "channel": mixer.heads * mixer.head_dim}[mixer.gate]


def _of_positions(mixer: Attention) -> int:
    """Outputs of the matrices that make keys and queries of a table's rows."""
    match mixer.position:
        case Disentangled(keys=keys, queries=queries, shared_projections=False):
            return (mixer.kv_heads * keys + mixer.heads * queries) * mixer.head_dim
        case _:
            return 0


def _tables(mixers: Sequence[Mixer], dim: int) -> int:
    """Rows of relative positions: those that layers share, and those of one layer each."""
    found = [(m.position, m.heads) for m in mixers if isinstance(m, Attention)]
    own = [pair for pair in found if isinstance(pair[0], RelativeBias) and not pair[0].shared]
    biases = {pair for pair in found if isinstance(pair[0], RelativeBias) and pair[0].shared}
    rows = sum(p.buckets * heads for p, heads in (*own, *biases) if isinstance(p, RelativeBias))
    return rows + sum(2 * p.span * dim + _norm(p.norm, dim) for p in {p for p, _ in found} if isinstance(p, Disentangled))


def _head_norms(norm: QKNorm | None, mixer: Attention) -> int:
    if norm is None:
        return 0
    heads = (1, 1) if norm.over == "head" else (mixer.heads, mixer.kv_heads)
    return sum(_norm(norm.norm, n * mixer.head_dim) for n in heads)


def _mixer_matrices(mixer: Mixer, dim: int) -> int:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            return dim * (2 * (h + g) * k + _gates(mixer))
        case LatentAttention(heads=h, kv_rank=r, rope_dim=p, nope_dim=n, value_dim=v, q_rank=q):
            queries = q * (dim + h * (n + p)) if q else dim * h * (n + p)
            return queries + dim * (r + p) + r * h * (n + v) + h * v * dim
        case LshAttention(heads=h, head_dim=k):
            return 3 * dim * h * k
        case LocalGlobalAttention(heads=h, head_dim=k):
            return 6 * dim * h * k  # only global tokens need the seventh, their query
        case Mamba() | Mamba2() | ShortConv():
            return recurrent.matrices(mixer, dim)


def _ffn(ffn: FFN | None, dim: int) -> int:
    """All parameters."""
    match ffn:
        case None:
            return 0
        case MLP(hidden=f):
            return _mlp(f, dim, ffn.gated, ffn.bias)
        case MoE(experts=e):
            router = e * (dim + ffn.router_bias + isinstance(ffn.router, Sigmoid))
            shared = _mlp(ffn.shared, dim, True, ffn.bias) if ffn.shared else 0
            return router + e * _expert(ffn, dim) + shared + dim * ffn.shared_gate


def _expert(ffn: MoE, dim: int) -> int:
    return _mlp(ffn.hidden, dim, True, ffn.bias)


def _mlp(hidden: int, dim: int, gated: bool, bias: bool) -> int:
    up = hidden * (2 if gated else 1)
    return dim * (up + hidden) + (up + dim) * bias


def _ffn_matrices(ffn: FFN | None, dim: int) -> int:
    """Numbers that one token is multiplied with."""
    match ffn:
        case None:
            return 0
        case MLP(hidden=f):
            return _mlp(f, dim, ffn.gated, False)
        case MoE(experts=e, active=a, hidden=f):
            return e * dim + a * _mlp(f, dim, True, False) + _mlp(ffn.shared, dim, True, False) + dim * ffn.shared_gate


def _variant(name: str, arch: Arch, tokens: int, bytes_per_number: int) -> Variant:
    state, one, all_ = state_bytes(arch, bytes_per_number), *(cache_bytes(arch, n, bytes_per_number) for n in (1, tokens))
    return Variant(name, one - state, all_)


def _variants(arch: Arch) -> dict[str, Arch]:
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


def _map(arch: Arch, change: Callable[[Attention], Mixer], latent: Callable[[LatentAttention], Mixer] | None = None) -> Arch:
    """Layers that attend, changed; latent attention (by default) as the heads that it stands for."""

    def changed(mixer: Mixer) -> Mixer:
        match mixer:
            case Attention():
                return change(mixer)
            case LatentAttention():
                return change(_heads(mixer)) if latent is None else latent(mixer)
            case _:
                return mixer

    return replace(arch, layers=tuple(replace(x, mixer=changed(x.mixer)) for x in arch.layers))


def _heads(a: LatentAttention) -> Attention:
    """Keys and values together are as long."""
    return Attention(heads=a.heads, kv_heads=a.heads, head_dim=(a.rope_dim + a.nope_dim + a.value_dim) // 2, mask=a.mask)
