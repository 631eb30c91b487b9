"""Stable Diffusion's denoiser."""

from models.spec.diffusion.denoisers import Sinusoids
from models.spec.value import spec


@spec
class PixelTransformer:
    """x + the pixels, normed and between two matrices, through `depth` layers of attention among themselves, attention to a text, and a
    gated feed-forward part (Rombach et al. 2021, arXiv 2112.10752, appendix E.2.1)."""

    heads: int
    depth: int = 1


@spec
class UNetStage:
    """So many residual blocks of one width, each followed by a transformer where there is one; on the way up there is one block more."""

    width: int
    blocks: int
    transformer: PixelTransformer | None


@spec
class Sized:
    """To what is told of the time is added what two matrices make of a text's vector of `pooled` columns and of six numbers as sinusoids:
    height and width of a picture, where it was cut, and height and width that are wanted (Podell et al. 2023, arXiv 2307.01952)."""

    pooled: int
    numbers: Sinusoids

    @property
    def columns(self) -> int:
        return self.pooled + 6 * self.numbers.columns


@spec
class UNet:
    """Down through `down`, between which the picture becomes half as wide and high, through a block, the transformer `middle` and a block,
    and up through `up`, where every block also reads what a block on the way down returned (Ronneberger et al. 2015, arXiv 1505.04597;
    arXiv 2112.10752). `side`: pixels of the latents that it was trained on; others may be as large as they like, in multiples of
    2 ** (stages - 1). `text`: columns of the rows that it is told about."""

    channels: int
    out_channels: int
    side: int
    down: tuple[UNetStage, ...]
    middle: PixelTransformer
    up: tuple[UNetStage, ...]
    text: int
    times: Sinusoids
    sized: Sized | None = None
    groups: int = 32
    eps: float = 1e-5

    @property
    def multiple(self) -> int:
        """Sides of latents are multiples of it."""
        return 2 ** (len(self.down) - 1)
