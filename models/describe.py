"""What an architecture is, in numbers: counted from its spec, before any module exists. For `stoa arch`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from models.spec import MLP, Arch, Attention, Classifier, Dense, LatentAttention, Layer, Mask, Mixer, Next, Norm, Pooled, groups


@dataclass(frozen=True)
class CacheGroup:
    """Layers that remember the same: how many, in what shapes, and how many tokens back (None: all)."""

    layers: int
    per_token: tuple[tuple[int, ...], ...]
    reach: int | None


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
    flops_per_token: int  # at the start of a sequence (of an encoder: in one of one token); two per multiply-add
    flops_per_token_full: int  # with the whole context remembered (of an encoder: in a sequence as long)
    caches: tuple[CacheGroup, ...]
    bytes_per_token: int
    bytes_per_context: int
    variants: tuple[Variant, ...]


def describe(arch: Arch, *, context: int | None = None, bytes_per_number: int = 2) -> Description:
    """`context` (default: the checkpoint's own) is what "per context" and "full" mean."""
    tokens = arch.context if context is None else context
    own = _variant("", arch, tokens, bytes_per_number)
    return Description(
        layers=len(arch.layers),
        context=tokens,
        parameters=parameters(arch),
        flops_per_token=flops(arch, 1),
        flops_per_token_full=flops(arch, tokens),
        caches=tuple(CacheGroup(len(layers), cache.per_token, cache.reach) for cache, layers in groups(arch).items()),
        bytes_per_token=own.bytes_per_token,
        bytes_per_context=own.bytes_per_context,
        variants=tuple(_variant(name, changed, tokens, bytes_per_number) for name, changed in _variants(arch).items()),
    )


def parameters(arch: Arch) -> int:
    """Numbers in all matrices, biases and norms."""
    rows = arch.vocab + (arch.position.count if arch.position else 0) + arch.segments
    norms = _norm(arch.embed_norm, arch.dim) + _norm(arch.norm, arch.dim)
    return rows * arch.dim + norms + sum(_layer(layer, arch.dim) for layer in arch.layers) + _output(arch)


def flops(arch: Arch, tokens: int) -> int:
    """To compute one more token and its logits when `tokens` (itself included) are seen: 2 for each multiply-add of a
    matrix or of attention; norms, rotations and activations are left out, and of encoders what is done once for a
    whole sequence."""
    logits = arch.vocab * arch.dim if isinstance(arch.output, Next) else 0
    matrices = sum(_mixer_matrices(x.mixer, arch.dim) + _ffn_matrices(x.ffn, arch.dim) for x in arch.layers)
    return 2 * (logits + matrices + sum(_attended(layer.mixer, tokens) for layer in arch.layers))


def cache_bytes(arch: Arch, tokens: int, bytes_per_number: int = 2) -> int:
    """What all layers remember of one sequence."""
    return bytes_per_number * sum(cache.floats(tokens) * len(layers) for cache, layers in groups(arch).items())


def _output(arch: Arch) -> int:
    match arch.output:
        case Next():
            return 0 if arch.tied else arch.vocab * arch.dim
        case Pooled(pooling=kinds, layers=layers):
            return _dense(layers, arch.dim * len(kinds))
        case Classifier(labels=labels, hidden=hidden):
            return _dense((hidden, Dense(width=labels)), arch.dim)


def _dense(layers: Sequence[Dense], inputs: int) -> int:
    widths = (inputs, *(layer.width for layer in layers))
    return sum(layer.width * (i + layer.bias) + _norm(layer.norm, layer.width) for i, layer in zip(widths, layers, strict=False))


_NORMS = {"pre": 2, "pre_ffn": 1, "post": 2, "sandwich": 4}


def _layer(layer: Layer, dim: int) -> int:
    norms = _norm(layer.norm, dim) * _NORMS[layer.placement]
    return norms + _mixer(layer.mixer, dim) + _ffn_matrices(layer.ffn, dim) + _ffn_biases(layer.ffn, dim)


def _norm(norm: Norm | None, dim: int) -> int:
    if norm is None:
        return 0
    return 2 * dim if norm.kind == "layer" else dim


def _mixer(mixer: Mixer, dim: int) -> int:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k, qk_norm=norm):
            biases = (h + 2 * g) * k * mixer.bias + dim * mixer.out_bias
            return _mixer_matrices(mixer, dim) + biases + (2 * _norm(norm, k) if norm else 0)
        case LatentAttention():
            return _mixer_matrices(mixer, dim)


def _mixer_matrices(mixer: Mixer, dim: int) -> int:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            return 2 * dim * (h + g) * k
        case LatentAttention():
            raise NotImplementedError("the spec of latent attention says what it remembers, not yet what it computes")


def _ffn_matrices(ffn: MLP, dim: int) -> int:
    return dim * ffn.hidden * (3 if ffn.gated else 2)


def _ffn_biases(ffn: MLP, dim: int) -> int:
    return (ffn.hidden * (2 if ffn.gated else 1) + dim) * ffn.bias


def _attended(mixer: Mixer, tokens: int) -> int:
    """Multiply-adds of one query with the keys and the values it sees."""
    match mixer:
        case Attention(heads=h, head_dim=k, mask=mask):
            return 2 * h * k * _seen(mask, tokens)
        case LatentAttention(heads=h, kv_rank=r, rope_dim=k):
            return h * (2 * r + k) * tokens


def _seen(mask: Mask, tokens: int) -> int:
    """Tokens that the last of `tokens` sees; of an encoder's, one in the middle."""
    back, ahead = (tokens if n is None else n for n in (mask.reach, mask.ahead))
    return min(tokens, back + ahead)


def _variant(name: str, arch: Arch, tokens: int, bytes_per_number: int) -> Variant:
    per_token, per_context = (cache_bytes(arch, n, bytes_per_number) for n in (1, tokens))
    return Variant(name, per_token, per_context)


def _variants(arch: Arch) -> dict[str, Arch]:
    """None of what remembers nothing. MLA with the sizes that DeepSeek-V2 chose (arXiv 2405.04434): latent 4 head
    dimensions, rotary key half a one."""
    if not groups(arch):
        return {}
    return {
        "MHA": _map(arch, lambda a: replace(a, kv_heads=a.heads)),
        "GQA": _map(arch, lambda a: replace(a, kv_heads=_grouped(a))),
        "MQA": _map(arch, lambda a: replace(a, kv_heads=1)),
        "MLA": _map(arch, lambda a: LatentAttention(heads=a.heads, kv_rank=4 * a.head_dim, rope_dim=a.head_dim // 2)),
    }


def _grouped(a: Attention) -> int:
    """The model's own number of key/value heads where it groups, else one for as many heads as divide, 8 at most."""
    if 1 < a.kv_heads < a.heads:
        return a.kv_heads
    return a.heads // max(n for n in range(1, 9) if a.heads % n == 0)


def _map(arch: Arch, change: Callable[[Attention], Mixer]) -> Arch:
    layers = (replace(x, mixer=change(x.mixer)) if isinstance(x.mixer, Attention) else x for x in arch.layers)
    return replace(arch, layers=tuple(layers))
