"""The part of an architecture that one of several tensor-parallel processes computes, which is an architecture, too."""

from dataclasses import replace

from models.spec import FFN, MLP, Arch, Attention, LatentAttention, Layer, Mixer, MoE, Parallel, QKNorm


def shard(arch: Arch, ways: int) -> Arch:
    """Heads and hidden numbers of attention, latent attention and feed-forward parts are cut `ways` times; key/value heads are
    there more than once where they are fewer. Routed experts are cut by vLLM's own layer; mixers with states, blocks that layers share and
    what lies around the layers are whole in every process. Raises ValueError for numbers that cannot be cut."""
    if ways == 1:
        return arch
    return replace(arch, layers=tuple(_layer(f"layers.{i}", layer, ways) for i, layer in enumerate(arch.layers)))


def _layer(name: str, layer: Layer, ways: int) -> Layer:
    return replace(layer, mixer=_mixer(name, layer.mixer, ways), ffn=_ffn(name, layer.ffn, ways))


def _mixer(name: str, mixer: Mixer | None, ways: int) -> Mixer | None:
    match mixer:
        case Attention(qk_norm=QKNorm(over="projection")):
            raise ValueError(f"{name}: a norm over all heads together cannot be cut for --tensor-parallel-size {ways}")
        case Attention(heads=h, kv_heads=g):
            kv_heads = _cut(f"{name}: {g} key/value heads", g, ways) if g >= ways else 1
            return replace(mixer, heads=_cut(f"{name}: {h} heads", h, ways), kv_heads=kv_heads)
        case LatentAttention(heads=h):
            return replace(mixer, heads=_cut(f"{name}: {h} heads", h, ways))
        case Parallel(mixers=several):
            return Parallel(mixers=tuple(single for single in (_mixer(name, each, ways) for each in several) if single))
        case other:
            return other


def _ffn(name: str, ffn: FFN | None, ways: int) -> FFN | None:
    match ffn:
        case MLP(hidden=f):
            return replace(ffn, hidden=_cut(f"{name}: {f} hidden numbers", f, ways))
        case MoE(shared=f):
            return replace(ffn, shared=_cut(f"{name}: {f} hidden numbers of the shared expert", f, ways))
        case None:
            return None


def _cut(what: str, number: int, ways: int) -> int:
    if number % ways:
        raise ValueError(f"{what} cannot be cut for --tensor-parallel-size {ways}")
    return number // ways
