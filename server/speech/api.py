"""Speech in, text with times out: the types of what is heard, and the protocol of whoever hears it. Times are seconds from the
beginning of a recording."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.api import TokenLogprob

RATE = 16_000  # samples a second, of one channel
LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)  # temperatures, of which the next is tried where the text of the last one is in doubt

Samples = NDArray[np.float32]  # [n], -1..1


class Recording(Protocol):
    @property
    def samples(self) -> int: ...

    def read(self, start: int, count: int) -> Samples:
        """Fewer where it ends before."""
        ...


class AudioError(Exception):
    """A file that is no recording that can be heard. The message is meant for whoever sent it."""

    def __init__(self, message: str, code: Literal["unsupported_format", "invalid_audio", "empty_audio", "audio_too_long"]) -> None:
        super().__init__(message)
        self.code = code


class AudioDecoder(Protocol):
    def decode(self, file: Path) -> AbstractAsyncContextManager[Recording]:
        """What is to be heard in `file`, whatever its name, until the context ends. Raises AudioError: of a format that is not known (the
        message names those that are), damaged, without a sample, longer than the decoder takes, or too costly to decode."""
        ...

    def close(self) -> None:
        """What is being decoded fails."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechTask:
    """What is asked about one recording."""

    language: str | None = None  # ISO 639-1, as "de"; None: the model finds out
    translate: bool = False  # into English
    prompt: str = ""  # text that came before, or names that occur
    temperatures: tuple[float, ...] = LADDER
    words: bool = False  # times of each word
    seed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What is known before the first segment."""

    language: str  # ISO 639-1
    duration: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    text: str  # with the space before it
    start: float
    end: float
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    id: int
    seek: int  # hundredths of a second: where the window began in which it was heard
    start: float
    end: float
    text: str
    tokens: tuple[int, ...]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    logprobs: tuple[TokenLogprob, ...] = ()  # of tokens
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """So much of the recording has been heard, whether or not anything was said in it."""

    seconds: float


class Transcriber(Protocol):
    def transcribe(self, recording: Recording, task: SpeechTask) -> AsyncGenerator[Heard | Segment | Progress]:
        """`Heard` first; segments in order, each as soon as it is final; `Progress` behind those of each window. Closing it aborts.
        Raises ValueError for a task that the model cannot do (an unknown language, translation by an English-only model), and
        EngineError."""
        ...
