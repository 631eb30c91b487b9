"""Recordings become documents, where somebody hands in what hears: a heading for each stretch of time, and below it what was said then."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Protocol

from retrieval.api import Block, Document, Parser, SpeechReader, Spoken, Unreadable
from retrieval.citations.places import clock_time

RECORDINGS = frozenset((".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif", ".amr"))
STRETCH = 60.0  # seconds; a segment that begins in one belongs to it
ENDS = (".", "!", "?", "…", "。", "！", "？")  # of sentences
UNHEARD = "the file is a recording, and there is no model of speech: set --transcription-model whisper-tiny (STOA_TRANSCRIPTION_MODEL)"


class ClosingParser(Parser, Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True)
class SpokenParser:
    """Implements retrieval.api.Parser: recordings, told by their names, are heard; all else is for `other`."""

    other: ClosingParser
    speech: SpeechReader | None  # None: recordings are refused by name

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        if PurePath(filename).suffix.lower() not in RECORDINGS:
            return await self.other.parse(content, filename)
        if self.speech is None:
            raise Unreadable(UNHEARD, "unsupported_file")
        return spoken_document(await self.speech.read(content), PurePath(filename).stem)

    def close(self) -> None:
        self.other.close()


def spoken_document(said: Sequence[Spoken], title: str) -> Document:
    """Each sentence is a block, which knows its times."""
    text, blocks = "", list[Block]()
    for stretch in _stretches(said):
        heading, start = f"{clock_time(stretch[0].start)} – {clock_time(stretch[-1].end)}", len(text)
        blocks.append(Block(kind="heading", start=start, end=start + len(heading)))
        text += heading + "\n\n"
        sentences = [block for block in _sentences(stretch) if "".join(one.text for one in block).strip()]
        for number, sentence in enumerate(sentences):
            words = "".join(one.text for one in sentence)
            text += words if number else words.lstrip()
            begins = len(text) - len(words.lstrip())
            block = Block(kind="paragraph", start=begins, end=len(text.rstrip()), headings=(heading,))
            blocks.append(replace(block, start_seconds=sentence[0].start, end_seconds=sentence[-1].end))
        text = text.rstrip() + "\n\n"
    return Document(text=text.rstrip(), blocks=tuple(blocks), media_type="audio/*", title=title, notes=() if said else ("nothing is said",))


def _sentences(stretch: Sequence[Spoken]) -> Iterator[list[Spoken]]:
    """Segments up to one that ends a sentence."""
    found: list[Spoken] = []
    for one in stretch:
        found.append(one)
        if one.text.rstrip().endswith(ENDS):
            yield found
            found = []
    if found:
        yield found


def _stretches(said: Sequence[Spoken]) -> list[list[Spoken]]:
    found: list[list[Spoken]] = []
    for one in said:
        if not found or one.start >= found[-1][0].start + STRETCH:
            found.append([])
        found[-1].append(one)
    return found
