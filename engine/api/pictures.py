"""Engines of pictures: out of noise."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

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
    """Of a model that reads texts: what the picture is to show, and what it is not to, or an empty text; None: nothing is said of it. Each
    for every encoder of `ReadsPrompts.texts`, special tokens included."""

    tokens: tuple[tuple[int, ...], ...]
    negative: tuple[tuple[int, ...], ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRequest:
    """The same request gives the same picture, whatever else is computed beside it, but for the last digit of a float."""

    prompt: Label | PromptTokens | None  # None: nothing in particular, of a model that is told labels
    steps: int
    seed: int  # of the noise
    # how far what the model says is moved away from what it says of `negative`, or of no label (arXiv 2207.12598); 1: it is not
    guidance: float = 1.0
    told_guidance: float | None = None  # the same as a model is told it that has learned to do so at once; None: of other models
    size: tuple[int, int] | None = None  # width and height; None: as `ImageInfo` says
    start: StartPicture | None = None
    previews: frozenset[int] = frozenset()  # numbers of steps, from 1, after which the picture is shown as the model sees it by then


@dataclass(frozen=True, slots=True)
class ReadsLabels:
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsText:
    """Of one encoder. `context`: tokens of the longest text; `filled`: shorter ones are filled up to as many."""

    context: int
    vocab: int
    filled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadsPrompts:
    """`nothing`: whether the model knows what to be guided away from where `PromptTokens.negative` is None."""

    texts: tuple[ReadsText, ...]
    nothing: bool = False

    @property
    def context(self) -> int:
        """Tokens of the longest prompt: encoders that read fewer are told its beginning."""
        return max(text.context for text in self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherSizes:
    """Sides are multiples of `multiple`, `longest` at most, and there are `pixels` at most."""

    multiple: int
    pixels: int
    longest: int | None = None

    def fit(self, width: int, height: int) -> bool:
        sides = width, height
        fits = self.longest is None or max(sides) <= self.longest
        return fits and min(sides) > 0 and not any(side % self.multiple for side in sides) and width * height <= self.pixels

    def __str__(self) -> str:
        longest = "" if self.longest is None else f" and none above {self.longest}"
        return f"sides that are multiples of {self.multiple}{longest}, with at most {self.pixels:,} pixels"


# computed: the model computes twice, with and without a prompt, and is guided from one to the other. told: it is told how far, and
# computes once; fixed: it has learned one guidance. Those two compute twice where a prompt says what is not to be seen
Guidance = Literal["computed", "told", "fixed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UsualRequest:
    """What a model's makers take where nothing is said."""

    steps: int
    guidance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    width: int  # pixels, of pictures as the model was trained on
    height: int
    others: OtherSizes | None = None  # None: every picture is as large
    channels: int
    reads: ReadsLabels | ReadsPrompts
    steps: int  # the most
    positions: int  # that the denoiser computes of such a picture: what a token is to a text
    guidance: Guidance = "computed"
    usual: UsualRequest
    fills: bool = False  # it makes the missing part of a StartPicture, and nothing without one
    partial: bool = False  # whether a part of a step is taken, too, where a `strength` does not leave whole ones

    def size_of(self, request: ImageRequest) -> tuple[int, int]:
        """Width and height."""
        return request.size or (self.width, self.height)

    def steps_of(self, steps: int, strength: float) -> int:
        """In how many of `steps` steps a picture is changed by `strength`, as in diffusers' pipelines; 0 where that is too little."""
        return steps - int(steps - steps * strength) if self.partial else int(steps * strength)


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
