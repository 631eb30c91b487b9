"""The vocabulary: an architecture is a frozen value built from these parts. Nothing here imports torch.

What a layer must remember (its caches) is a pure function of its spec, so memory is sized before a module exists.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def spec(cls: type[T]) -> type[T]:
    return dataclass(frozen=True, kw_only=True)(cls)


# norms and positions


@spec
class Norm:
    kind: Literal["rms", "layer"] = "rms"
    eps: float = 1e-6


@spec
class Linear:
    """Position interpolation: every position divided by `factor` (Chen et al. 2023, arXiv 2306.15595)."""

    factor: float


@spec
class Yarn:
    """NTK-by-parts interpolation (Peng et al. 2023, arXiv 2309.00071)."""

    factor: float
    original: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    attention_factor: float | None = None
    truncate: bool = True


@spec
class Llama3:
    """Llama 3.1's wavelength-dependent frequency scaling."""

    factor: float
    original: int
    low_freq_factor: float
    high_freq_factor: float


@spec
class Divided:
    """Every frequency divided by a factor of its own: how a GGUF file states any scaling (its tensor `rope_freqs`)."""

    factors: tuple[float, ...]


Scaling = Linear | Yarn | Llama3 | Divided


@spec
class Rope:
    """Rotary embedding of the first `dim` of a head, halves rotated together (Su et al. 2021, arXiv 2104.09864)."""

    dim: int
    base: float = 10_000.0
    scaling: Scaling | None = None


# masks: who may look at whom. `reach` is all a cache needs to know


@spec
class Causal:
    @property
    def reach(self) -> int | None:
        return None


@spec
class Window:
    """A token sees itself and the `size - 1` tokens before it."""

    size: int

    @property
    def reach(self) -> int | None:
        return self.size


Mask = Causal | Window


# mixers: how tokens exchange information


@spec
class Attention:
    """kv_heads == heads: MHA; 1: MQA; between: GQA (Ainslie et al. 2023, arXiv 2305.13245)."""

    heads: int
    kv_heads: int
    head_dim: int
    mask: Mask = Causal()
    position: Rope | None = None
    qk_norm: Norm | None = None
    bias: bool = False  # on q, k, v
    out_bias: bool = False
    softcap: float | None = None
    scale: float | None = None  # None: head_dim ** -0.5


@spec
class LatentAttention:
    """MLA: one compressed latent and one shared rotary key per token (DeepSeek-V2, arXiv 2405.04434)."""

    heads: int
    kv_rank: int
    rope_dim: int


Mixer = Attention | LatentAttention


# feed-forward


@spec
class MLP:
    hidden: int
    activation: Literal["silu", "gelu", "gelu_tanh"] = "silu"
    gated: bool = True
    bias: bool = False


# the whole


@spec
class Layer:
    """pre: x + f(norm(x)).  sandwich: x + norm(f(norm(x)))."""

    mixer: Mixer
    ffn: MLP
    norm: Norm = Norm()
    placement: Literal["pre", "sandwich"] = "pre"


@spec
class Arch:
    dim: int
    vocab: int
    layers: tuple[Layer, ...]
    norm: Norm = Norm()
    tied: bool = False
    embed_scale: float = 1.0
    logit_softcap: float | None = None
    context: int  # tokens the checkpoint was trained or scaled to see


# caches: what a layer must remember, derived from its spec alone


@spec
class Paged:
    """Grows with the sequence, page by page; pages further back than `reach` tokens are freed."""

    per_token: tuple[tuple[int, ...], ...]  # what one token leaves behind: ((G, K), (G, V)) or ((R,), (K,))
    reach: int | None = None

    def floats(self, tokens: int) -> int:
        """Numbers one layer keeps for a sequence of `tokens`."""
        return min(tokens, self.reach or tokens) * sum(map(prod, self.per_token))


def caches(layer: Layer) -> tuple[Paged, ...]:
    """What `layer` must remember of a sequence."""
    match layer.mixer:
        case Attention(kv_heads=g, head_dim=k, mask=mask):
            return (Paged(per_token=((g, k), (g, k)), reach=mask.reach),)
        case LatentAttention(kv_rank=r, rope_dim=k):
            return (Paged(per_token=((r,), (k,))),)


def groups(arch: Arch) -> dict[Paged, list[int]]:
    """Layers that share a cache layout share one block table: layout -> layer numbers."""
    out: dict[Paged, list[int]] = {}
    for i, layer in enumerate(arch.layers):
        for cache in caches(layer):
            out.setdefault(cache, []).append(i)
    return out
