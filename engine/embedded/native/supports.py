"""Which models the compiled kernels can run."""

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import fits
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
    LatentAttention,
    Layer,
    LinearAttention,
    Mamba,
    Mamba2,
    Next,
    Rope,
    ShortConv,
    Single,
    Sinusoidal,
    mixers,
    streams,
)


def supports(arch: Arch) -> bool:
    """Can every layer of `arch`, a decoder, run on these kernels?"""
    alone = arch.encoder is None and not (isinstance(arch.output, Next) and arch.output.bias and arch.tied)
    return (
        alone and plain(arch) and all(layer.block is None and all(map(_mixer, mixers(layer))) and _ffn(layer.ffn) for layer in arch.layers)
    )


def plain(arch: Arch) -> bool:
    """Whether its rows are of one stream, and those of positions in one table: no kernel joins or computes them."""
    return streams(arch) == 1 and not isinstance(arch.position, Axial | Sinusoidal)


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
        and (m.position is None or isinstance(m.position, Rope | Alibi))
        and m.gate != "head"
    )


def _ffn(ffn: FFN | None) -> bool:
    return ffn is None or (ffn.shift is None if isinstance(ffn, MLP) else ffn.gated and ffn.experts <= k.MAX_EXPERTS)


def fitting(layer: Layer) -> bool:
    """For an encoder's layer: whether its sizes and its activation are such as kernels exist for."""
    return isinstance(layer.mixer, Attention) and _fitting_mixer(layer.mixer) and layer.ffn is not None and _fitting_ffn(layer.ffn)


def _fitting_mixer(m: Attention) -> bool:
    return (
        m.head_dim % 16 == 0
        and m.head_dim <= k.MAX_DIM
        and (m.position is None or isinstance(m.position, Rope))
        and fits(m.heads * m.head_dim)
        and not m.sinks
        and m.gate is None
        and m.temperature is None
        and m.clip is None
    )


def _fitting_ffn(ffn: FFN) -> bool:
    return isinstance(ffn, MLP) and fits(ffn.hidden)
