"""Which models the compiled kernels can run."""

from engine.embedded.kernels import library as k
from engine.embedded.native.latent import fits_latent
from engine.embedded.native.masks import numbers_of
from engine.embedded.native.states import fits_states
from models.spec import (
    FFN,
    MLP,
    Alibi,
    Arch,
    Attention,
    Axial,
    CrossVision,
    Full,
    GridWindow,
    LatentAttention,
    Layer,
    LinearAttention,
    Mamba,
    Mamba2,
    Neighbourhood,
    RelativeBias,
    Rope,
    ShortConv,
    Single,
    Tower,
    mixers,
    streams,
)


def supports(arch: Arch) -> bool:
    """Can every layer of `arch`, a decoder or an encoder-decoder, run on these kernels?"""
    if isinstance(arch.vision, CrossVision):
        return False
    sees = arch.vision is None or all(isinstance(layer.ffn, MLP) for layer in arch.vision.tower.layers)
    return plain(arch) and all(map(_layer, arch.layers)) and (arch.encoder is None or _reads(arch.encoder)) and sees


def plain(arch: Arch) -> bool:
    """Whether its rows are of one stream, and those of positions in one table: no kernel joins them."""
    return streams(arch) == 1 and not isinstance(arch.position, Axial)


def _layer(layer: Layer) -> bool:
    crossing = layer.cross is None or layer.cross.head_dim <= k.MAX_DIM
    return layer.block is None and crossing and all(map(_mixer, mixers(layer))) and _ffn(layer.ffn)


def _reads(encoder: Tower) -> bool:
    return all(isinstance(layer.mixer, Attention) and whole(layer.mixer) and isinstance(layer.ffn, MLP) for layer in encoder.layers)


def _mixer(m: Single) -> bool:
    match m:
        case Attention():
            return _attention(m)
        case LatentAttention():
            return fits_latent(m)
        case Mamba() | Mamba2() | ShortConv() | LinearAttention():
            return fits_states(m)
        case _:
            return False


def _attention(m: Attention) -> bool:
    return (
        m.head_dim <= k.MAX_DIM
        and numbers_of(m.mask) is not None
        and (m.position is None or isinstance(m.position, Rope | Alibi | RelativeBias))
        and m.gate != "head"
    )


def _ffn(ffn: FFN | None) -> bool:
    return ffn is None or (ffn.shift is None if isinstance(ffn, MLP) else ffn.gated and ffn.experts <= k.MAX_EXPERTS)


def whole(m: Attention) -> bool:
    """Whether a kernel exists for its looking at whole sequences."""
    return (
        m.head_dim % 16 == 0
        and m.head_dim <= k.MAX_DIM
        and isinstance(m.mask, Full | GridWindow | Neighbourhood)
        and (m.position is None or isinstance(m.position, Rope | RelativeBias))
        and (m.scale is None or m.scale > 0)
        and m.softcap is None
        and not m.sinks
        and m.gate is None
        and m.temperature is None
        and m.clip is None
    )
