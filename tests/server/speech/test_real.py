"""The real thing: Whisper tiny in the embedded engine, on speech that a program has spoken."""

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.embedded.engine import EmbeddedEngine
from engine.embedded.load import LoadOptions, load_model
from engine.embedded.scheduler import Limits
from server.speech.api import RATE, Heard, Progress, Segment, SpeechTask
from server.speech.decoding.decoder import SandboxDecoder
from server.speech.recording import SampleArray
from server.speech.tokens import read_speech_tokens
from server.speech.transcriber import EngineTranscriber
from server.text.tokenizer import load_tokenizer
from server.weights.pull import pull

pytestmark = pytest.mark.slow

SPEECH = Path(__file__).parents[2] / "data" / "speech"
SENTENCES = (SPEECH / "sentences.txt").read_text().splitlines()
LIMITS = Limits(max_running=4, max_waiting=16, max_step_tokens=512, mixed_step_tokens=64)

Samples = NDArray[np.float32]


@pytest.fixture(scope="module")
def transcriber() -> Iterator[EngineTranscriber]:
    folder = pull("whisper-tiny")
    engine = EmbeddedEngine(load_model(folder, LoadOptions(device="cpu", kv_memory=512 << 20, threads=2, limits=LIMITS)))
    yield EngineTranscriber(engine, load_tokenizer(folder), read_speech_tokens(folder))
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def speech() -> Samples:
    """All sentences, once."""

    async def decode() -> Samples:
        async with decoder.decode(SPEECH / "sentences.ogg") as recording:
            return recording.read(0, recording.samples)

    decoder = SandboxDecoder(workers=1)
    found = asyncio.run(decode())
    decoder.close()
    return found


async def steps_of(transcriber: EngineTranscriber, samples: Samples, task: SpeechTask) -> list[Heard | Segment | Progress]:
    return [step async for step in transcriber.transcribe(SampleArray(samples), task)]


def segments(transcriber: EngineTranscriber, samples: Samples, *, words: bool = False) -> list[Segment]:
    steps = asyncio.run(steps_of(transcriber, samples, SpeechTask(words=words)))
    return [step for step in steps if isinstance(step, Segment)]


def text(found: Sequence[Segment]) -> str:
    return "".join(segment.text for segment in found).strip()


def test_two_sentences(transcriber: EngineTranscriber, speech: Samples) -> None:
    found = segments(transcriber, speech[: 5 * RATE])
    assert text(found) == "The capital of France is Paris. There are 31 days in January."
    assert found[-1].end <= 5.0 and found[0].temperature == 0.0 and found[0].no_speech_prob < 0.6


def test_no_word_is_lost_between_windows(transcriber: EngineTranscriber, speech: Samples) -> None:
    """83 seconds: the windows begin amid sentences."""
    found = segments(transcriber, np.tile(speech, 4))
    assert text(found) == " ".join(SENTENCES * 4)
    assert len({segment.seek for segment in found}) >= 3
    times = [time for segment in found for time in (segment.start, segment.end)]
    assert times == sorted(times) and times[-1] <= 4 * len(speech) / RATE


def test_words_are_where_they_are_said(transcriber: EngineTranscriber, speech: Samples) -> None:
    """A second of silence is put into a pause: the words before it stay, and those behind it move with it."""
    pause = 6.6  # seconds: behind "The sun is a star."
    parted = np.concatenate([speech[: round(pause * RATE)], np.zeros(RATE, np.float32), speech[round(pause * RATE) :]])
    whole, apart = ([word for segment in segments(transcriber, sound, words=True) for word in segment.words] for sound in (speech, parted))
    assert [word.text for word in whole] == [word.text for word in apart] == [f" {word}" for word in " ".join(SENTENCES).split()]
    assert all(before.end <= after.start + 1e-9 for before, after in pairwise(whole))
    moved = [after.end - before.end for before, after in zip(whole, apart, strict=True)]
    stay = sum(word.end < pause for word in whole)
    assert stay == 17 and np.median(np.abs(moved[:stay])) < 0.1 and np.median(np.abs(np.array(moved[stay:]) - 1)) < 0.1


def test_silence_and_noise_say_nothing(transcriber: EngineTranscriber) -> None:
    hum = np.sin(2 * np.pi * 50 * np.arange(10 * RATE) / RATE).astype(np.float32) * 0.01
    assert segments(transcriber, np.zeros(40 * RATE, np.float32)) == [] == segments(transcriber, hum)


def test_several_recordings_at_once(transcriber: EngineTranscriber, speech: Samples) -> None:
    async def all_four() -> list[str]:
        sounds = [speech[: second * RATE] for second in (5, 10, 15, 20)]
        told = await asyncio.gather(*(steps_of(transcriber, sound, SpeechTask()) for sound in sounds))
        return [text([step for step in steps if isinstance(step, Segment)]) for steps in told]

    alone = [text(segments(transcriber, speech[: second * RATE])) for second in (5, 10, 15, 20)]
    assert asyncio.run(all_four()) == alone
