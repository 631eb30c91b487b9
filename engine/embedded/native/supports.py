"""Which models the compiled kernels can run."""

from engine.embedded.kernels import library as k
from engine.embedded.kernels.packing import fits
from engine.embedded.native.ops import ACTIVATION
from models.spec import FFN, MLP, Arch, Attention, Causal, Full, Layer, Neighbourhood, Rope, Window


def supports(arch: Arch) -> bool:
    """Can every layer of `arch` run on these kernels?"""
    plain = arch.position is None and arch.embed_norm is None and arch.embed_dim is None
    return plain and fits(arch.dim) and all(fitting(layer) and layer.norm.kind == "rms" for layer in arch.layers)


def fitting(layer: Layer) -> bool:
    """Whether its sizes and its activation are such as kernels exist for."""
    return isinstance(layer.mixer, Attention) and _fitting_mixer(layer.mixer) and _fitting_ffn(layer.ffn)


def _fitting_mixer(m: Attention) -> bool:
    return (
        m.head_dim % 16 == 0
        and m.head_dim <= k.MAX_DIM
        and (m.position is None or (isinstance(m.position, Rope) and m.position.dim % 2 == 0))
        and fits(m.heads * m.head_dim)
        and isinstance(m.mask, Causal | Window | Full | Neighbourhood)
        and not m.sinks
        and m.temperature is None
        and m.clip is None
        and (m.qk_norm is None or (m.qk_norm.norm.kind == "rms" and m.qk_norm.over != "each_head"))
    )


def _fitting_ffn(ffn: FFN) -> bool:
    return isinstance(ffn, MLP) and fits(ffn.hidden) and ffn.activation in ACTIVATION
