"""Attention within squares of an image's patches."""

from typing import ClassVar

from models.spec.masks import Full, Mask
from models.spec.value import spec


@spec
class ShiftedWindowAttention:
    """Swin (Liu et al. 2021, arXiv 2103.14030): a patch sees those of its own square of `window` * `window`. The squares begin `shift`
    lines and columns further on where an image is larger than one; patches that came from the other end of the image are not seen then. A
    number for each head and distance in lines and columns is added to the scores. An image is filled up to whole squares with rows of
    zeros, which are seen."""

    heads: int
    head_dim: int
    window: int
    shift: int = 0
    bias: bool = True  # on q, k, v
    position: ClassVar[None] = None
    mask: ClassVar[Mask] = Full()

    @property
    def distances(self) -> int:
        return (2 * self.window - 1) ** 2
