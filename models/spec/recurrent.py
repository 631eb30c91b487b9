"""Mixers whose memory of a sequence stays as large as it is, however long the sequence."""

from typing import ClassVar

from models.spec.ffn import Activation
from models.spec.linear import LinearAttention, Rwkv7
from models.spec.masks import Causal, Mask, Window
from models.spec.norms import Norm
from models.spec.value import spec


@spec
class Mamba:
    """Selective state space (Gu & Dao 2023, arXiv 2312.00752): each of `inner` channels keeps `state` numbers, which decay and
    take in by a step size that the token itself chooses, out of `rank` numbers. Before that, channels see `kernel` tokens."""

    inner: int
    state: int
    rank: int
    kernel: int = 4
    conv_bias: bool = True
    bias: bool = False  # on what comes in and what goes out
    norm: Norm | None = None  # of the numbers that choose step size, input and output (Jamba; Falcon-Mamba: without weights)
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()


@spec
class Mamba2:
    """The same with one decay for a whole head (Dao & Gu 2024, arXiv 2405.21060): linear attention whose keys and queries
    are shared by the heads of a group, and `state` wide. Steps lie between `least_step` and `most_step`."""

    heads: int
    head_dim: int
    state: int
    groups: int = 1
    kernel: int = 4
    conv_bias: bool = True
    bias: bool = False  # on what comes in and what goes out
    norm: Norm | None = Norm()  # of what goes out, behind its gate, over each group's channels
    norm_first: bool = False  # before the gate
    least_step: float = 0.0
    most_step: float | None = None
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()


@spec
class ShortConv:
    """Gates around a short convolution, and nothing further back (LFM2, Liquid AI 2025): out(c * conv(b * x))."""

    channels: int
    kernel: int = 3
    bias: bool = False
    position: ClassVar[None] = None

    @property
    def mask(self) -> Mask:
        return Window(size=self.kernel)


@spec
class S4:
    """Diagonal linear state space (S4D; Gu et al. 2022, arXiv 2206.11893): each of `channels`, which are the model's, keeps `state`
    complex numbers that turn and decay at rates of their own, whatever the token. GELU and a gated linear unit follow."""

    channels: int
    state: int
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()


@spec
class RgLru:
    """Griffin's recurrent block (De et al. 2024, arXiv 2402.19427): a real-gated linear recurrent unit, whose `channels` keep a number
    each that decays as the token says, behind a convolution of `kernel` tokens and beside an activated branch. What lets in and what
    lets go is chosen by matrices of one of `blocks` of channels each."""

    channels: int
    blocks: int
    kernel: int = 4
    activation: Activation = "gelu_tanh"
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()


Recurrent = Mamba | Mamba2 | ShortConv | S4 | LinearAttention | RgLru | Rwkv7
