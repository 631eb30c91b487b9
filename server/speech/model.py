"""A model of speech with all that serves it: an engine of its own, its tokenizer, what hears by the two, and what decodes files."""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.api import Aligner, Delta, Engine, ModelInfo, ReadsFrames, Request, Stats
from server.speech.api import AudioDecoder, Transcriber
from server.text.tokenizer import ChatTokenizer

FRAME_RATE = 100  # frames of a spectrogram in one second


class SpeechEngine(Engine, Aligner, Protocol):
    """What generates, and says where in a recording each word is."""


@dataclass(frozen=True)
class SpeechModel:
    """`listen`: what hears with an engine, whoever's it is."""

    name: str  # what clients call it
    engine: SpeechEngine
    tokenizer: ChatTokenizer
    listen: Callable[[SpeechEngine], Transcriber]
    decoder: AudioDecoder

    @property
    def transcriber(self) -> Transcriber:
        return self.listen(self.engine)

    def audio_tokens(self, seconds: float) -> int:
        """So many rows the encoder makes of a recording: what a token of the prompt is to a chat model."""
        reader = self.engine.info.reader
        assert reader is not None and isinstance(reader.reads, ReadsFrames)
        return round(seconds * FRAME_RATE * reader.context / reader.reads.frames)

    def with_requests(self, change: Callable[[Request], Request]) -> "SpeechModel":
        """The same, whose engine is given each request changed."""
        return replace(self, engine=_ChangedSpeechEngine(self.engine, change))


@dataclass(frozen=True, slots=True)
class _ChangedSpeechEngine:
    """Implements SpeechEngine."""

    engine: SpeechEngine
    change: Callable[[Request], Request]

    @property
    def info(self) -> ModelInfo:
        return self.engine.info

    @property
    def alive(self) -> bool:
        return self.engine.alive

    @property
    def fault(self) -> str | None:
        return self.engine.fault

    def generate(self, request: Request) -> AsyncIterator[Delta]:
        return self.engine.generate(self.change(request))

    async def align(self, request: Request, heads: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        return await self.engine.align(self.change(request), heads)

    def stats(self) -> Stats:
        return self.engine.stats()

    async def close(self) -> None:
        await self.engine.close()
