"""Encoders: token ids in, or images, one row of numbers out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What an encoder reads at once, special tokens included. `segments`: BERT's token types; (): all 0."""

    tokens: tuple[int, ...]
    segments: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """An image as an encoder reads it: float32 [channels, height, width], resized and scaled as it was trained on."""

    values: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadsImages:
    """Of an encoder whose vectors of texts and images lie in one space: sides of an image are multiples of `patch` pixels, and at most
    `rows` are made of it, of which one is there before the first patch if `class_token`."""

    channels: int
    patch: int
    rows: int
    class_token: bool

    def rows_of(self, image: Pixels) -> int:
        _, height, width = image.values.shape
        return (height // self.patch) * (width // self.patch) + self.class_token


@dataclass(frozen=True, slots=True)
class Judge:
    """How the product of the vectors of a text and an image says that they fit: times `scale`, plus `offset`, and then a softmax over
    texts, or a sigmoid for each."""

    kind: Literal["softmax", "sigmoid"]
    scale: float
    offset: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderInfo:
    """`output` "vector": an embedding; "score": the logits of a classifier, `width` of them. `images`: of those that read them, too, or
    nothing else; `judge`: where their vectors can be compared with those of texts."""

    output: Literal["vector", "score"]
    width: int
    max_tokens: int  # of one sentence; 0: it reads none
    vocab: int
    pooling: str  # "mean", "cls" ...; with "+normalize"; "" of a classifier
    architecture: str = ""
    images: ReadsImages | None = None
    judge: Judge | None = None


class Encoder(Protocol):
    @property
    def info(self) -> EncoderInfo: ...

    @property
    def alive(self) -> bool: ...

    async def embed(self, batch: Sequence[Sentence | Pixels]) -> NDArray[np.float32]:
        """Rows [len(batch), width], in the order of `batch`, the same whatever else is computed beside it. Sentences of
        several calls are computed together. Cancelling the call takes back what has not begun. Raises EngineError:
        PromptTooLong for a sentence over max_tokens, Unsupported for an image that this encoder cannot read, QueueFull, EngineStopped."""
        ...

    async def close(self) -> None: ...
