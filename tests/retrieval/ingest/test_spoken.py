"""Recordings as documents: what is said stands below its times, and what cannot be heard is refused by name."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest

from retrieval.api import Chunking, Document, SpeechReader, Spoken, Unreadable
from retrieval.chunking.chunk import chunk
from retrieval.ingest.spoken import SpokenParser, spoken_document
from tests.server.fake_knowledge import LineParser

SAID = [
    Spoken(text=" Welcome to the talk.", start=0.0, end=4.0),
    Spoken(text=" It is about owls.", start=4.5, end=58.0),
    Spoken(text=" Owls hunt at night.", start=62.0, end=66.0),
    Spoken(text=" Thank you.", start=3725.0, end=3726.2),
]


@dataclass
class Ears:
    said: Sequence[Spoken]

    async def read(self, content: AsyncIterator[bytes]) -> Sequence[Spoken]:
        assert b"".join([part async for part in content]) == b"sound"
        return self.said


def parse(name: str, speech: SpeechReader | None) -> Document:
    async def content() -> AsyncIterator[bytes]:
        yield b"sound"

    return asyncio.run(SpokenParser(LineParser(), speech).parse(content(), name))


def test_what_is_said_stands_below_its_times() -> None:
    document = parse("talk.MP3", Ears(SAID))
    parts = [(block.kind, document.text[block.start : block.end], block.headings) for block in document.blocks]
    assert document.title == "talk" and document.text.startswith("0:00 – 0:58\n\nWelcome to the talk. It is about owls.\n\n1:02")
    assert parts[:3] == [
        ("heading", "0:00 – 0:58", ()),
        ("paragraph", "Welcome to the talk.", ("0:00 – 0:58",)),
        ("paragraph", "It is about owls.", ("0:00 – 0:58",)),
    ]
    assert [text for kind, text, _ in parts if kind == "heading"] == ["0:00 – 0:58", "1:02 – 1:06", "1:02:05 – 1:02:06"]


def test_chunks_know_when_they_are_said() -> None:
    document = spoken_document(SAID, "talk")
    chunks = chunk(document, words, Chunking(size=9, overlap=0), 100)
    assert [(new.text.split("\n")[-1], new.start_seconds, new.end_seconds) for new in chunks] == [
        ("Welcome to the talk.", 0.0, 4.0),
        ("It is about owls.", 4.5, 58.0),
        ("Owls hunt at night.", 62.0, 66.0),
        ("Thank you.", 3725.0, 3726.2),
    ]


def words(text: str) -> list[tuple[int, int]]:
    return [found.span() for found in re.finditer(r"\S+", text)]


def test_segments_within_a_sentence_stay_one_block() -> None:
    said = [
        Spoken(text=" An owl", start=1.0, end=2.0),
        Spoken(text=" sees well.", start=2.0, end=3.5),
        Spoken(text="  ", start=4.0, end=5.0),
    ]
    blocks = spoken_document(said, "talk").blocks[1:]
    assert [(block.start_seconds, block.end_seconds) for block in blocks] == [(1.0, 3.5)]


def test_silence_is_a_document_without_text() -> None:
    document = spoken_document([], "silence")
    assert (document.text, document.blocks, document.notes) == ("", (), ("nothing is said",))


def test_other_files_are_read_as_ever_and_without_ears_recordings_are_refused() -> None:
    assert parse("talk.txt", None).text == "sound"
    with pytest.raises(Unreadable, match="--transcription-model") as refused:
        parse("talk.mp3", None)
    assert refused.value.code == "unsupported_file"
