"""Mixers that convolve: a token takes in all tokens before it, each by a weight that only their distance says."""

from typing import ClassVar

from models.spec.masks import Causal, Mask
from models.spec.value import spec


@spec
class ImplicitFilter:
    """Weights of all distances t, made by a small network (Romero et al. 2021, arXiv 2102.02611): of t / (length - 1) and of sine and
    cosine at `bands` frequencies, through 1 + `depth` layers of `hidden` sines. They fade as exp(-decay t / (length - 1)) + `shift`,
    with a decay of each channel's own."""

    length: int
    bands: int = 1
    hidden: int = 64
    depth: int = 2
    shift: float = 0.0


@spec
class LongConv:
    """Hyena (Poli et al. 2023, arXiv 2302.10866): values are multiplied by a gate and convolved with a long filter, `order` - 1 times
    over, and multiplied by a last gate. Values and gates, of `channels` each, come from one matrix and a convolution of `kernel`
    tokens. Tokens leave behind what the long convolutions read."""

    channels: int
    filter: ImplicitFilter
    order: int = 2
    kernel: int = 3
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Causal()
