"""Speech in, text with times out: the types of what is heard, and the protocol of whoever hears it. Times are seconds from the
beginning of a recording."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
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


class OpenRecording(Recording, Protocol):
    def close(self) -> None: ...


UnreadableCode = Literal["unsupported_file", "invalid_file", "too_long", "too_large", "server_error"]


class UnreadableAudio(Exception):
    """The message is for whoever sent the file. `code`: "unsupported_file" (no audio in a known format), "invalid_file" (damaged, or
    without sound), "too_long", "too_large", "server_error" (not the file's fault)."""

    def __init__(self, message: str, code: UnreadableCode = "invalid_file") -> None:
        super().__init__(message)
        self.code: UnreadableCode = code


class Decoder(Protocol):
    async def decode(self, content: AsyncIterator[bytes]) -> OpenRecording:
        """To be closed by the caller. Raises UnreadableAudio. Cancelling the call ends the work."""
        ...

    def close(self) -> None:
        """Calls in progress raise UnreadableAudio."""
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
