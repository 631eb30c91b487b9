"""Attention without a softmax: what a sequence leaves behind is a matrix for each head."""

from typing import ClassVar, Literal

from models.spec.masks import Causal, Mask
from models.spec.norms import Norm
from models.spec.positions import Rope
from models.spec.value import spec

# how a state decays from one token to the next


@spec
class HeadDecay:
    """By exp(-rate * softplus(x + bias)), where the token chooses an x for each head."""


@spec
class ChannelDecay:
    """The same for each channel of a key, out of `rank` numbers; the rate is the head's."""

    rank: int


@spec
class FixedDecay:
    """By 1 - 2 ** (-first - h) in head h, whatever the token (RetNet; Sun et al. 2023, arXiv 2307.08621)."""

    first: float = 5.0


Decay = HeadDecay | ChannelDecay | FixedDecay


@spec
class DeltaRule:
    """What the state holds for a key is replaced by the value, by a part of up to `most` that the token chooses for each head
    (Schlag et al. 2021, arXiv 2102.11174). Above 1 the state may turn (arXiv 2411.12537). Keys and queries have length 1."""

    most: float = 1.0


@spec
class OutputGate:
    """What multiplies a head's normed output: one number for each of its own, out of `rank` numbers where that is given."""

    activation: Literal["silu", "sigmoid"] = "silu"
    rank: int | None = None


@spec
class LinearAttention:
    """A head's state, key_dim x value_dim, decays, takes in the outer product of each token's key and value, and is read along its
    query (Katharopoulos et al. 2020, arXiv 2006.16236). Each of `key_heads` keys and queries is for as many of `heads` values. Before
    that, channels of queries, keys and values see `kernel` tokens, where it is given, and go through SiLU.
    RetNet: FixedDecay and Rope. Gated delta net (arXiv 2412.06464): HeadDecay and DeltaRule. Kimi's (arXiv 2510.26692): ChannelDecay
    and DeltaRule."""

    heads: int
    key_heads: int
    key_dim: int
    value_dim: int
    decay: Decay = HeadDecay()
    delta: DeltaRule | None = None
    kernel: int | None = None
    position: Rope | None = None
    norm: Norm | None = Norm()  # of what each head returns
    gate: OutputGate | None = OutputGate()
    mask: ClassVar[Mask] = Causal()


@spec
class FirstValues:
    """Values are mixed with those of the first layer, by sigmoids made of `rank` numbers (Zhou et al. 2024, arXiv 2410.17897)."""

    rank: int


@spec
class Rwkv7:
    """RWKV-7's time mixing (Peng et al. 2025, arXiv 2503.14456): linear attention with a delta rule, where the token chooses for each
    channel how it decays and how much of it is replaced, and each role reads its own mix of the token and the one before. Heads are as
    wide as the model together. What the token chooses is made of so many numbers as the ranks say."""

    heads: int
    head_dim: int
    decay_rank: int
    rate_rank: int  # of how much is replaced
    gate_rank: int
    first: FirstValues | None = None  # None: the values are its own, and the first such layer's are what others mix with theirs
    eps: float = 64e-5  # of the LayerNorm on each head's output
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()
