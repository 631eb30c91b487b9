"""The vocabulary: an architecture is a frozen value built from these parts. Nothing here imports torch.

What a layer must remember (its caches) is a pure function of its spec, so memory is sized before a module exists.
"""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True)
def spec(cls: type[T]) -> type[T]:
    return dataclass(frozen=True, kw_only=True)(cls)


# norms and positions


@spec
class Norm:
    kind: Literal["rms", "layer", "layer_unbiased"] = "rms"
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


@spec
class Learned:
    """A row of its own for each of `count` positions, added to the embedding."""

    count: int


# masks: who may look at whom. `reach`: how many tokens back, the token itself included; `ahead`: how many tokens
# further on (None: all). A cache needs to know no more


@spec
class Causal:
    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = 0


@spec
class Window:
    """A token sees itself and the `size - 1` tokens before it."""

    size: int
    ahead: ClassVar[int | None] = 0

    @property
    def reach(self) -> int | None:
        return self.size


@spec
class Full:
    """Every token sees the whole sequence."""

    reach: ClassVar[int | None] = None
    ahead: ClassVar[int | None] = None


@spec
class Neighbourhood:
    """A token sees itself and `distance` tokens on either side."""

    distance: int

    @property
    def reach(self) -> int | None:
        return self.distance + 1

    @property
    def ahead(self) -> int | None:
        return self.distance


Mask = Causal | Window | Full | Neighbourhood


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

Activation = Literal["silu", "gelu", "gelu_tanh", "relu", "tanh"]


@spec
class MLP:
    hidden: int
    activation: Activation = "silu"
    gated: bool = True
    bias: bool = False


# outputs: what becomes of the rows behind the last layer

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len", "weighted_mean", "last"]


@spec
class Dense:
    """norm(activation(linear(x))), each of the two only where it is given."""

    width: int  # outputs
    bias: bool = True
    activation: Activation | None = None
    norm: Norm | None = None


@spec
class Next:
    """Logits of the token that comes next: a decoder."""


@spec
class Pooled:
    """One vector for each sequence: its rows pooled (in several ways: one beside the other), then `layers`, then cut to
    length 1 if `normalize` (Reimers & Gurevych 2019, arXiv 1908.10084)."""

    pooling: tuple[Pooling, ...] = ("mean",)
    layers: tuple[Dense, ...] = ()
    normalize: bool = False


@spec
class Classifier:
    """One logit per label for each sequence: its rows pooled, then `hidden`, then one linear layer."""

    labels: int
    pooling: Pooling = "cls"
    hidden: Dense


Output = Next | Pooled | Classifier


# the whole


@spec
class Layer:
    """pre: x + f(norm(x)).  pre_ffn: the same, but the mixer reads x as it is.  post: norm(x + f(x)).
    sandwich: x + norm(f(norm(x)))."""

    mixer: Mixer
    ffn: MLP
    norm: Norm = Norm()
    placement: Literal["pre", "pre_ffn", "post", "sandwich"] = "pre"


@spec
class Arch:
    """A decoder if `output` is Next, otherwise an encoder, which reads whole sequences and remembers nothing."""

    dim: int
    vocab: int
    layers: tuple[Layer, ...]
    norm: Norm | None = Norm()  # behind the last layer
    tied: bool = False
    embed_scale: float = 1.0
    embed_norm: Norm | None = None
    position: Learned | None = None
    segments: int = 0  # kinds of tokens, each with a row that is added to the embedding
    output: Output = Next()
    logit_softcap: float | None = None
    context: int  # tokens the checkpoint was trained or scaled to see


def width(arch: Arch) -> int:
    """Numbers in a row of what comes out."""
    match arch.output:
        case Next():
            return arch.vocab
        case Pooled(pooling=kinds, layers=layers):
            return layers[-1].width if layers else arch.dim * len(kinds)
        case Classifier(labels=labels):
            return labels


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
    """What `layer` must remember of a sequence. Nothing where tokens look ahead: their sequence comes in one step."""
    match layer.mixer:
        case Attention(mask=Full() | Neighbourhood()):
            return ()
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
