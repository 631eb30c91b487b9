"""Engines of pictures: out of noise."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StartPicture:
    """Where a picture begins instead of noise alone. `strength`, above 0 and at most 1: how much of the way back to noise it is taken."""

    pixels: NDArray[np.uint8]  # [H, W, C], as large as what is asked for
    strength: float
    mask: NDArray[np.bool_] | None = None  # [H, W]: what is to be made anew; the rest stays as it is. None: all of it


@dataclass(frozen=True, slots=True)
class Label:
    """Of a model that was trained on pictures with labels."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptTokens:
    """Of a model that reads texts: what the picture is to show, and what it is not to (or the tokens of an empty text), both filled up to
    `ReadsPrompts.context`, special tokens included."""

    tokens: tuple[int, ...]
    negative: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """The same request gives the same picture, whatever else is computed beside it, but for the last digit of a float."""

    prompt: Label | PromptTokens | None  # None: nothing in particular, of a model that is told labels
    steps: int
    seed: int  # of the noise
    guidance: float = 1.0  # how far what the model says is moved away from what it says of no prompt (arXiv 2207.12598); 1: it is not
    size: tuple[int, int] | None = None  # width and height; None: as `ImageInfo` says
    start: StartPicture | None = None
    previews: frozenset[int] = frozenset()  # numbers of steps, from 1, after which the picture is shown as the model sees it by then


@dataclass(frozen=True, slots=True)
class ReadsLabels:
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsPrompts:
    context: int  # tokens of every prompt
    vocab: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSizes:
    """Sides are multiples of `multiple`, and there are `pixels` at most."""

    multiple: int
    pixels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    width: int  # pixels, of pictures as the model was trained on
    height: int
    others: OtherSizes | None = None  # None: every picture is as large
    channels: int
    reads: ReadsLabels | ReadsPrompts
    steps: int  # the most
    positions: int  # that the denoiser computes of such a picture: what a token is to a text

    def size_of(self, request: ImageRequest) -> tuple[int, int]:
        """Width and height."""
        return request.size or (self.width, self.height)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageProgress:
    """After `step` of `steps` steps: fewer than were asked for where there is a `StartPicture`, one more where the sampler takes one more.
    The last one has the picture."""

    step: int
    steps: int
    pixels: NDArray[np.uint8] | None = field(default=None, repr=False)  # [H, W, C]

    @property
    def finished(self) -> bool:
        return self.step == self.steps


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStats:
    waiting: int = 0  # pictures, as those below
    running: int = 0
    finished: int = 0  # these and below: totals since start
    aborts: int = 0
    steps: int = 0  # of all pictures


class ImageEngine(Protocol):
    @property
    def info(self) -> ImageInfo: ...

    @property
    def alive(self) -> bool: ...

    def generate(self, request: ImageRequest) -> AsyncIterator[ImageProgress]:
        """One after each step, the last one finished. Closing the iterator aborts the request, within one step. Raises EngineError before
        the first one for a request that cannot be met, naming its field; QueueFull where too many wait; EngineStopped at any time."""
        ...

    def stats(self) -> ImageStats: ...

    async def close(self) -> None: ...
