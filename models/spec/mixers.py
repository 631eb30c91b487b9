"""Mixers: how tokens exchange information."""

from typing import Literal

from models.spec.linear import LinearAttention, Rwkv7
from models.spec.long_conv import LongConv
from models.spec.masks import Causal, Mask
from models.spec.norms import Norm
from models.spec.positions import Alibi, Disentangled, RelativeBias, Rope
from models.spec.recurrent import S4, Mamba, Mamba2, RgLru, ShortConv
from models.spec.sparse import LocalGlobalAttention, LshAttention
from models.spec.value import spec
from models.spec.windows import ShiftedWindowAttention


@spec
class QKNorm:
    """A norm on queries and on keys (Henry et al. 2020, arXiv 2010.04245). head: over a head, one weight for all heads;
    each_head: over a head, a weight for each; projection: over all heads of a token together."""

    norm: Norm = Norm()
    over: Literal["head", "each_head", "projection"] = "head"


@spec
class Temperature:
    """Queries at position p are multiplied by 1 + scale * ln(1 + floor((p + 1) / `floor`)), against the flattening of long
    softmaxes (Llama 4; Nakanishi 2025, arXiv 2501.19399)."""

    floor: float
    scale: float


@spec
class Attention:
    """kv_heads == heads: MHA; 1: MQA; between: GQA (Ainslie et al. 2023, arXiv 2305.13245)."""

    heads: int
    kv_heads: int
    head_dim: int
    mask: Mask = Causal()
    position: Rope | Alibi | RelativeBias | Disentangled | None = None
    qk_norm: QKNorm | None = None
    bias: bool = False  # on q, k, v
    out_bias: bool = False
    clip: float | None = None  # q, k and v are clamped to -clip..clip
    softcap: float | None = None
    scale: float | None = None  # None: head_dim ** -0.5
    temperature: Temperature | None = None
    sinks: bool = False  # one more logit per head in the softmax, which no value belongs to (arXiv 2309.17453)
    gate: Literal["head", "channel"] | None = (
        None  # what comes out is multiplied by sigmoid(gate(x)), one number per head or each its own (arXiv 2505.06708)
    )


@spec
class LatentAttention:
    """MLA: a token leaves behind one compressed latent of `kv_rank` numbers, from which each head makes a key of `nope_dim` and
    a value of `value_dim`, and one rotary key of `rope_dim` that all heads share (DeepSeek-V2, arXiv 2405.04434). Queries
    come from a latent of their own if `q_rank` says how wide."""

    heads: int
    kv_rank: int
    rope_dim: int
    nope_dim: int
    value_dim: int
    q_rank: int | None = None
    position: Rope | None = None
    norm: Norm = Norm()  # of the latents
    mask: Mask = Causal()
    bias: bool = False  # on what makes the latents
    out_bias: bool = False
    scale: float | None = None  # None: (nope_dim + rope_dim) ** -0.5


Single = (
    Attention
    | LatentAttention
    | LinearAttention
    | LocalGlobalAttention
    | LshAttention
    | LongConv
    | ShiftedWindowAttention
    | Mamba
    | Mamba2
    | ShortConv
    | S4
    | RgLru
    | Rwkv7
)


@spec
class Parallel:
    """Several mixers that read the same rows; what they return is summed (Falcon-H1, arXiv 2507.22448)."""

    mixers: tuple[Single, ...]


Mixer = Single | Parallel
