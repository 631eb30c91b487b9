"""A model of speech without ears: a recording has a second for each hundred bytes of its file, and every ten seconds a line is said."""

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.api import Delta, ModelInfo, ReaderInfo, ReadsFrames, Request, Sampling, Stats, TokenLogprob
from server.speech.api import RATE, AudioError, Heard, Progress, Recording, Samples, Segment, SpeechTask, Transcriber, Word
from server.speech.model import SpeechEngine, SpeechModel
from server.text.tokenizer import ChatTokenizer

BYTES_PER_SECOND = 100
LINES = (" What is the capital of France?", " The capital of France is Paris.", " Hello, world", " and other words; some more, some less.")


@dataclass
class FakeSpeechEngine:
    """Says nothing, and remembers who asked."""

    requests: list[Request] = field(default_factory=list[Request])
    alive: bool = True
    fault: str | None = None
    immortal: bool = False  # survives the end of its application

    @property
    def info(self) -> ModelInfo:
        return ModelInfo(context=448, vocab=1000, reader=ReaderInfo(context=1500, reads=ReadsFrames(frames=3000, bins=80)))

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        self.requests.append(request)
        yield Delta(finish="stop")

    async def align(self, request: Request, heads: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        return np.zeros((len(heads), len(request.tokens), 1500), np.float32)

    def stats(self) -> Stats:
        return Stats(running=1)

    async def close(self) -> None:
        self.alive = self.immortal


@dataclass
class FakeRecording:
    samples: int

    def read(self, start: int, count: int) -> Samples:
        return np.zeros(max(0, min(count, self.samples - start)), np.float32)


@dataclass
class FakeDecoder:
    """What begins with "broken" cannot be read."""

    longest: float = 1000.0
    opened: int = 0  # recordings, at present
    closed: bool = False

    @asynccontextmanager
    async def decode(self, file: Path) -> AsyncGenerator[FakeRecording]:
        data = file.read_bytes()
        if data.startswith(b"broken"):
            raise AudioError("the file is no audio in a known format; those are wav, mp3, flac", "unsupported_format")
        if len(data) / BYTES_PER_SECOND > self.longest:
            raise AudioError(f"the recording is longer than {self.longest:g} seconds", "audio_too_long")
        self.opened += 1
        try:
            yield FakeRecording(len(data) * RATE // BYTES_PER_SECOND)
        finally:
            self.opened -= 1

    def close(self) -> None:
        self.closed = True


@dataclass
class FakeEars:
    """What is heard by any number of engines, and what was asked of them."""

    tokenizer: ChatTokenizer
    pause: float = 0.0  # seconds before each segment
    lines: Sequence[str] = LINES
    tasks: list[SpeechTask] = field(default_factory=list[SpeechTask])
    aborts: int = 0

    def listen(self, engine: SpeechEngine) -> Transcriber:
        return _Listening(self, engine)

    def segment(self, number: int, task: SpeechTask) -> Segment:
        line, start = self.lines[number % len(self.lines)], 10.0 * number
        text = line.upper() if task.translate else line
        tokens = self.tokenizer.encode(text)
        times = tuple(self.tokenizer.encode("<|endoftext|>", parse_special=True))  # which no text is
        marked = (*times, *tokens, *times)
        pieces = text.split(" ")[1:]
        words = (
            tuple(Word(text=f" {piece}", start=start + i, end=start + i + 0.5, probability=0.9) for i, piece in enumerate(pieces))
            if task.words
            else ()
        )
        return Segment(
            id=number,
            seek=3000 * (number // 3),
            start=start,
            end=start + 9.5,
            text=text,
            tokens=marked,
            temperature=task.temperatures[0],
            avg_logprob=-0.5,
            compression_ratio=1.2,
            no_speech_prob=0.01,
            logprobs=tuple(TokenLogprob(token=token, logprob=math.log(0.5)) for token in marked),
            words=words,
        )


@dataclass
class _Listening:
    ears: FakeEars
    engine: SpeechEngine

    async def transcribe(self, recording: Recording, task: SpeechTask) -> AsyncGenerator[Heard | Segment | Progress]:
        if task.language == "tlh" or (task.language == "la" and not task.translate):
            raise ValueError("this model does not know it")
        self.ears.tasks.append(task)
        async for _ in self.engine.generate(Request(tokens=(1,), sampling=Sampling(max_tokens=1))):
            pass
        seconds, done = recording.samples / RATE, False
        try:
            yield Heard(language=task.language or "en", duration=seconds)
            for number in range(math.ceil(seconds / 10)):
                await asyncio.sleep(self.ears.pause)
                if self.ears.lines:
                    yield self.ears.segment(number, task)
                yield Progress(seconds=min(seconds, 10.0 * (number + 1)))
            done = True
        finally:
            self.ears.aborts += not done


def speech(ears: FakeEars, engine: FakeSpeechEngine | None = None, decoder: FakeDecoder | None = None) -> SpeechModel:
    return SpeechModel(
        name="ears",
        engine=engine or FakeSpeechEngine(),
        tokenizer=ears.tokenizer,
        listen=ears.listen,
        decoder=decoder or FakeDecoder(),
    )
