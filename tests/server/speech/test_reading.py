"""What the knowledge base is told of a recording."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from retrieval.api import Spoken, Unreadable
from server.speech.reading import RecordingReader
from tests.server.fake_speech import FakeEars, FakeSpeechEngine, speech
from tests.server.fakes import text

TEXT = text()


async def content(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


def test_segments_with_their_times_behind_what_clients_wait_for() -> None:
    engine = FakeSpeechEngine()
    reader = RecordingReader(speech(FakeEars(TEXT), engine))
    found = asyncio.run(reader.read(content(b"x" * 1000, b"x" * 500)))
    assert found == [
        Spoken(text=" What is the capital of France?", start=0.0, end=9.5),
        Spoken(text=" The capital of France is Paris.", start=10.0, end=19.5),
    ]
    assert [request.priority for request in engine.requests] == [1]


def test_what_is_no_recording() -> None:
    with pytest.raises(Unreadable, match="wav, mp3, flac") as refused:
        asyncio.run(RecordingReader(speech(FakeEars(TEXT))).read(content(b"broken")))
    assert refused.value.code == "unsupported_file"
