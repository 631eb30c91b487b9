"""Numbers that a checkpoint holds, and those of its matrices that one token is multiplied with."""

from collections.abc import Sequence
from dataclasses import replace

from models.describe import block, cross, frames, images, long_conv, recurrent
from models.spec import (
    FFN,
    MLP,
    S4,
    Arch,
    Attention,
    Axial,
    Classifier,
    CrossVision,
    Denoised,
    Dense,
    Disentangled,
    Frames,
    LatentAttention,
    Layer,
    Learned,
    LinearAttention,
    LocalGlobalAttention,
    LongConv,
    LshAttention,
    Mamba,
    Mamba2,
    Mean,
    Merge,
    MoE,
    Next,
    Ngrams,
    Norm,
    OwnEmbedding,
    Patches,
    Pooled,
    QKNorm,
    RelativeBias,
    RgLru,
    Rwkv7,
    SharedBlock,
    SharedEmbedding,
    ShiftedWindowAttention,
    ShortConv,
    Sigmoid,
    Single,
    Sinusoidal,
    Step,
    TiledTower,
    Tower,
    Vision,
    Writes,
    beside_embedding,
    crossed_rows,
    mixers,
    pooled_width,
    stages,
    streams,
    tower,
)


def parameters(arch: Arch) -> int:
    """Numbers in all matrices, biases and norms."""
    if arch.before:
        return staged(arch) + parameters(replace(arch, before=(), patches=None, embed_norm=None))
    owners = [layer for layer in arch.layers if layer.weights_of is None]
    beside = between(arch) + _tables([mixer for layer in owners for mixer in mixers(layer)], arch.dim) + _ngrams(arch.ngrams, arch.dim)
    beside += _encoder(arch) + (0 if arch.vision is None else _vision(arch.vision, arch.dim))
    beside += sum(cross.parameters(layer, crossed_rows(arch)[0], arch.dim) for layer in owners) + arch.read_only * (
        arch.embed_dim or arch.dim
    )
    return _embedded(arch) + beside + sum(_layer(x, arch.dim) for x in owners) + _norm(arch.norm, arch.dim * streams(arch)) + _output(arch)


def staged(arch: Arch) -> int:
    """Of all stages but the last."""
    return sum(map(parameters, stages(arch))) + sum(map(sum, merges(arch)))


def merges(arch: Arch) -> list[tuple[int, int]]:
    """Behind each stage but the last: numbers of the matrix, and of the norm."""
    widths = [*(stage.dim for stage in arch.before[1:]), arch.dim]
    return [(4 * stage.dim * width, _norm(stage.norm, 4 * stage.dim)) for stage, width in zip(arch.before, widths, strict=False)]


def _encoder(arch: Arch) -> int:
    """That of an encoder-decoder."""
    if arch.encoder is None:
        return 0
    shared = arch.vocab * arch.encoder.dim if isinstance(arch.encoder.input, SharedEmbedding) else 0
    return encoder_parameters(arch.encoder, arch.vocab) - shared


def _vision(vision: Vision | CrossVision, dim: int) -> int:
    """Tower, connectors, and the row that ends a line."""
    if isinstance(vision, CrossVision):
        return _tiled(vision.tower) + _dense((vision.connector,), vision.tower.width)
    connectors = (vision.connector, *(each.connector for each in vision.deep))
    return encoder_parameters(vision.tower, 0) + sum(_connector(steps, vision.tower.dim) for steps in connectors) + dim * vision.newline


def _tiled(tower: TiledTower) -> int:
    first, last = map(parameters, tower.archs)
    of_tiles = len(tower.arrangements) * tower.tiles * tower.dim
    return first + last - images.embedding(tower.input, tower.dim) + of_tiles * (tower.input.rows + 2)


def _connector(steps: Sequence[Step], dim: int) -> int:
    count = 0
    for step in steps:
        match step:
            case Dense(width=width):
                count, dim = count + _dense((step,), dim), width
            case Norm():
                count += _norm(step, dim)
            case Merge(side=side):
                dim *= side * side
            case Mean():
                pass
    return count


def encoder_parameters(encoder: Tower, vocab: int) -> int:
    """With the embedding, also where it is the decoder's."""
    own = tower(encoder, vocab)
    match encoder.input:
        case SharedEmbedding() | OwnEmbedding() | Patches():
            return parameters(own)
        case Frames() as read:
            return parameters(own) - own.vocab * own.dim + frames.parameters(read, own.dim)


def _embedded(arch: Arch) -> int:
    """All that stands before the first layer, but for the matrix that widens it."""
    rows = arch.embed_dim or arch.dim
    beside = beside_embedding(arch)
    added = _positions(arch.position, beside) + arch.segments * beside
    return arch.vocab * rows + added + _norm(arch.embed_norm, beside) + images.embedding(arch.patches, arch.dim)


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
    in_encoder = (_idle(layer.ffn, arch.encoder.dim) for layer in arch.encoder.layers) if arch.encoder else ()
    return parameters(arch) - sum(idle) - sum(in_encoder)


def _idle(ffn: FFN | None, dim: int) -> int:
    match ffn:
        case None | MLP():
            return 0
        case MoE(experts=e, active=a):
            return (e - a) * _expert(ffn, dim)


def between(arch: Arch) -> int:
    """What brings rows of the embedding to the body's width, and in a decoder back."""
    ways = 2 if isinstance(arch.output, Writes) else 1
    return ways * arch.dim * arch.embed_dim + widen_bias(arch) if arch.embed_dim else 0


def _ngrams(ngrams: Ngrams | None, dim: int) -> int:
    return ngrams.kernel * dim**2 + dim + _norm(ngrams.norm, dim) if ngrams else 0


def widen_bias(arch: Arch) -> int:
    """Of the matrix that widens an encoder's rows."""
    return arch.dim if arch.embed_dim and not isinstance(arch.output, Writes) else 0


def _output(arch: Arch) -> int:
    match arch.output:
        case Next(bias=bias) | Denoised(head=Next(bias=bias)):
            return arch.vocab * ((0 if arch.tied else (arch.embed_dim or arch.dim) * streams(arch)) + bias)
        case Pooled() | Classifier() as output:
            dim = arch.dim * streams(arch)
            return images.pooling(output.pooling, dim) + _dense(output.layers, pooled_width(output, dim))


def _dense(layers: Sequence[Dense], inputs: int) -> int:
    widths = (inputs, *(layer.width for layer in layers))
    return sum(layer.width * (i + layer.bias) + _norm(layer.norm, layer.width) for i, layer in zip(widths, layers, strict=False))


_NORMS = {"pre": 2, "pre_ffn": 1, "post": 2, "sandwich": 4, "after": 2, "parallel": 2, "parallel_shared": 1, "reversible": 2}


def _layer(layer: Layer, dim: int) -> int:
    norms = sum(part is not None for part in (layer.mixer, layer.cross, layer.ffn))
    norms += _NORMS[layer.placement] - 2 if layer.mixer and layer.ffn else 0
    beside = 0 if layer.block is None else _block(layer.block, dim)
    return _norm(layer.norm, dim) * norms + sum(_mixer(mixer, dim) for mixer in mixers(layer)) + _ffn(layer.ffn, dim) + beside


def _block(spec: SharedBlock, dim: int) -> int:
    """Of a block that another layer has already, what this one adds to it."""
    if spec.weights_of is not None:
        return block.own(spec, dim)
    attention = _mixer(spec.attention, dim) + block.second_half(spec, dim)
    return block.own(spec, dim) + attention + _ffn(spec.ffn, dim) + _norm(spec.norm, 2 * dim) + _norm(spec.norm, dim)


def _norm(norm: Norm | None, dim: int) -> int:
    if norm is None or norm.kind == "rms_unweighted":
        return 0
    return 2 * dim if norm.kind == "layer" else dim


def _mixer(mixer: Single, dim: int) -> int:
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            biases = ((h + 2 * g) * k + _gates(mixer)) * mixer.bias + dim * mixer.out_bias
            sinks_and_norms = h * mixer.sinks + _head_norms(mixer.qk_norm, mixer)
            return mixer_matrices(mixer, dim) + biases + sinks_and_norms + (dim + mixer.bias) * _of_positions(mixer)
        case LatentAttention(kv_rank=r, q_rank=q, rope_dim=p):
            norms = _norm(mixer.norm, r) + (_norm(mixer.norm, q) if q else 0)
            return mixer_matrices(mixer, dim) + norms + ((q or 0) + r + p) * mixer.bias + dim * mixer.out_bias
        case LshAttention():
            return mixer_matrices(mixer, dim)
        case ShiftedWindowAttention(heads=h, head_dim=k, bias=bias):
            return mixer_matrices(mixer, dim) + 3 * h * k * bias + dim + h * mixer.distances
        case LocalGlobalAttention(heads=h, head_dim=k):
            return mixer_matrices(mixer, dim) + dim * h * k + 6 * h * k * mixer.bias + dim * mixer.out_bias
        case Mamba() | Mamba2() | ShortConv() | S4() | LinearAttention() | RgLru() | Rwkv7():
            return recurrent.matrices(mixer, dim) + recurrent.vectors(mixer, dim)
        case LongConv():
            return long_conv.parameters(mixer, dim)


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


def _tables(found: Sequence[Single], dim: int) -> int:
    """Rows of relative positions: those that layers share, and those of one layer each."""
    pairs = [(m.position, m.heads) for m in found if isinstance(m, Attention)]
    own = [pair for pair in pairs if isinstance(pair[0], RelativeBias) and not pair[0].shared]
    biases = {pair for pair in pairs if isinstance(pair[0], RelativeBias) and pair[0].shared}
    rows = sum(p.buckets * heads for p, heads in (*own, *biases) if isinstance(p, RelativeBias))
    return rows + sum(2 * p.span * dim + _norm(p.norm, dim) for p in {p for p, _ in pairs} if isinstance(p, Disentangled))


def _head_norms(norm: QKNorm | None, mixer: Attention) -> int:
    if norm is None:
        return 0
    heads = (1, 1) if norm.over == "head" else (mixer.heads, mixer.kv_heads)
    return sum(_norm(norm.norm, n * mixer.head_dim) for n in heads)


def mixer_matrices(mixer: Single, dim: int) -> int:
    """Numbers that one token is multiplied with."""
    match mixer:
        case Attention(heads=h, kv_heads=g, head_dim=k):
            return dim * (2 * (h + g) * k + _gates(mixer))
        case LatentAttention(heads=h, kv_rank=r, rope_dim=p, nope_dim=n, value_dim=v, q_rank=q):
            queries = q * (dim + h * (n + p)) if q else dim * h * (n + p)
            return queries + dim * (r + p) + r * h * (n + v) + h * v * dim
        case LshAttention(heads=h, head_dim=k):
            return 3 * dim * h * k
        case ShiftedWindowAttention(heads=h, head_dim=k):
            return 4 * dim * h * k
        case LocalGlobalAttention(heads=h, head_dim=k):
            return 6 * dim * h * k  # only global tokens need the seventh, their query
        case Mamba() | Mamba2() | ShortConv() | S4() | LinearAttention() | RgLru() | Rwkv7():
            return recurrent.matrices(mixer, dim)
        case LongConv():
            return long_conv.matrices(mixer, dim)


def _ffn(ffn: FFN | None, dim: int) -> int:
    """All parameters."""
    match ffn:
        case None:
            return 0
        case MLP(hidden=f):
            return _mlp(f, dim, ffn.gated, ffn.bias) + (ffn.shift.channels if ffn.shift else 0)
        case MoE(experts=e):
            router = e * (dim + ffn.router_bias + isinstance(ffn.router, Sigmoid))
            shared = _mlp(ffn.shared, dim, ffn.gated, ffn.bias) if ffn.shared else 0
            return router + e * _expert(ffn, dim) + shared + dim * ffn.shared_gate + 2 * dim * (ffn.latent or 0)


def _expert(ffn: MoE, dim: int) -> int:
    return _mlp(ffn.hidden, ffn.latent or dim, ffn.gated, ffn.bias)


def _mlp(hidden: int, dim: int, gated: bool, bias: bool) -> int:
    up = hidden * (2 if gated else 1)
    return dim * (up + hidden) + (up + dim) * bias


def ffn_matrices(ffn: FFN | None, dim: int) -> int:
    """Numbers that one token is multiplied with."""
    match ffn:
        case None:
            return 0
        case MLP(hidden=f):
            return _mlp(f, dim, ffn.gated, False)
        case MoE(experts=e, active=a, hidden=f):
            chosen = a * _mlp(f, ffn.latent or dim, ffn.gated, False) + 2 * dim * (ffn.latent or 0)
            return e * dim + chosen + _mlp(ffn.shared, dim, ffn.gated, False) + dim * ffn.shared_gate
