"""Transformers over a picture's patches and a text's rows at once (MMDiT: Esser et al. 2024, arXiv 2403.03206; Flux, Black Forest Labs
2024)."""

from typing import Literal

from models.spec.norms import Norm
from models.spec.value import spec


@spec
class TwoStreams:
    """Picture and text have matrices of their own, and look at both. Scales, shifts and gates of all come from what is told. `again`: the
    picture also looks at itself alone (Stable Diffusion 3.5). `last`: nothing becomes of the text's rows."""

    heads: int
    head_dim: int
    hidden: int
    qk_norm: Norm | None = None
    again: bool = False
    last: bool = False


@spec
class OneStream:
    """Picture and text share all matrices; attention and feed-forward part read the same and are joined by one."""

    heads: int
    head_dim: int
    hidden: int
    qk_norm: Norm | None = None


@spec
class FixedGrid:
    """Sines and cosines of a patch's line and column, added to its row, of the middle of a table of `side` by `side`, which is as if a
    picture of `base` patches a side were stretched over it."""

    side: int
    base: int


@spec
class RotaryGrid:
    """Rotary positions with dimensions of their own for each of three coordinates, neighbours rotated together; a patch has its line as
    the second and its column as the third, all else is 0."""

    dims: tuple[int, int, int]
    base: float = 10_000.0


@spec
class Mmdit:
    """Told a time, rows of a text of `text` columns, and one row of `pooled` columns for all of it; with `guidance` also how much a picture
    is to follow it, which others compute twice for. Numbers of a patch lie by channels in what is read, and in what comes out by
    `order`."""

    channels: int
    out_channels: int
    side: int
    patch: int
    dim: int
    layers: tuple[TwoStreams | OneStream, ...]
    text: int
    pooled: int
    position: FixedGrid | RotaryGrid
    order: Literal["channels_first", "channels_last"]
    guidance: bool = False
