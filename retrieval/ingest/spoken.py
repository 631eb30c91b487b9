"""Recordings become documents, where somebody hands in what hears: a heading for each stretch of time, and below it what was said then."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Protocol

from retrieval.api import Block, Document, Parser, SpeechReader, Spoken, Unreadable

RECORDINGS = frozenset((".wav", ".mp3", ".flac", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".wma", ".aiff", ".aif", ".amr"))
STRETCH = 60.0  # seconds; a segment that begins in one belongs to it
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
    text, blocks = "", list[Block]()
    for stretch in _stretches(said):
        heading, words = f"{_time(stretch[0].start)} – {_time(stretch[-1].end)}", "".join(one.text for one in stretch).strip()
        start, below = len(text), len(text) + len(heading) + 2
        text += f"{heading}\n\n{words}\n\n"
        blocks.append(Block(kind="heading", start=start, end=start + len(heading)))
        blocks.append(Block(kind="paragraph", start=below, end=below + len(words), headings=(heading,)))
    return Document(text=text.rstrip(), blocks=tuple(blocks), media_type="audio/*", title=title, notes=() if said else ("nothing is said",))


def _stretches(said: Sequence[Spoken]) -> list[list[Spoken]]:
    found: list[list[Spoken]] = []
    for one in said:
        if not found or one.start >= found[-1][0].start + STRETCH:
            found.append([])
        found[-1].append(one)
    return found


def _time(seconds: float) -> str:
    """[H:]MM:SS"""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
