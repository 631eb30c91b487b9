"""Builds a document block by block, for the parsers of all formats."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrieval.parse.common.clean import clean, prose, verbatim
from retrieval.parse.common.pictures import LEFT_OUT, Pictures, encoded_file
from retrieval.parse.limits import MIB, Limits, ParseError

if TYPE_CHECKING:
    from retrieval.parse.common.picture_files import Encoded

MAX_HEADING = 300  # characters; longer headings become paragraphs
MAX_HEADING_LEVEL = 6
MAX_NOTES = 20
BLOCK_SEPARATOR = "\n\n"  # between blocks
MAX_PART_DEPTH = 4  # archives in archives, messages in messages
HIDDEN_TEXT_NOTE = "text that nobody can see on the page was left out"  # passed to add_note


class DocumentBuilder:
    """Collects the blocks of a document and cleans their text. `page`: of the blocks added from then on."""

    def __init__(self, media_type: str, limits: Limits) -> None:
        self.media_type, self.limits = media_type, limits
        self.page: int | None = None
        self._title = ""
        self._texts: list[str] = []
        self._length = 0
        self._blocks: list[tuple[str, int, int, int | None, int]] = []  # kind, start, end, page, index of the heading path
        self._headings: list[tuple[int, str]] = []  # level and text of the enclosing headings
        self._paths: dict[tuple[str, ...], int] = {}
        self._notes: dict[str, None] = {}
        self._parts: tuple[str, ...] = ()  # names of the documents within the document that contain the following blocks, outermost first
        self._above: tuple[str, ...] = ()  # headings of the document that the innermost part is in
        self._part_count, self._part_bytes = 0, 0
        self.pictures = Pictures(limits)

    @property
    def size(self) -> int:
        """Number of blocks so far."""
        return len(self._blocks)

    @property
    def path(self) -> tuple[str, ...]:
        return (*self._above, *(text for _, text in self._headings))

    @contextmanager
    def part(self, name: str, size: int) -> Iterator[None]:
        """A document of `size` bytes within the document, such as a file of an archive: its name is a heading above all of its blocks.
        Raises ParseError if there are too many or too large ones, or if they are nested too deeply."""
        self._count_part(size)
        saved = self._parts, self._above, self._headings, self.page
        name = " ".join(clean(name).split())[:MAX_HEADING] or "unnamed"
        self._block("heading", name)
        before = self.size
        self._parts, self._above, self._headings, self.page = (*self._parts, name), (*self.path, name), [], None
        try:
            yield
        finally:
            self._parts, self._above, self._headings, self.page = saved
            if self.size == before:  # nothing stands under the heading
                self._texts.pop()
                self._blocks.pop()
                self._length = self._blocks[-1][2] if self._blocks else 0

    def _count_part(self, size: int) -> None:
        self._part_count, self._part_bytes = self._part_count + 1, self._part_bytes + size
        if len(self._parts) >= MAX_PART_DEPTH:
            raise ParseError(f"it is nested more than {MAX_PART_DEPTH} deep")
        if self._part_count > self.limits.entries:
            raise ParseError(f"the file holds more than {self.limits.entries:,} files")
        if self._part_bytes > self.limits.unpacked_bytes:
            raise ParseError(f"the files in it take more than {self.limits.unpacked_bytes // MIB:,} MiB")

    def set_title(self, text: str | None) -> None:
        """Only the first non-empty title is kept, and none of a part."""
        if self._parts:
            return
        self._title = self._title or " ".join(prose(clean(text or "")).split())[:MAX_HEADING]

    def add_heading(self, text: str, level: int) -> None:
        """`level` from 1, the outermost; 0: the title of the document."""
        text = " ".join(clean(text).split())
        if not text or len(text) > MAX_HEADING:
            self.add_block("paragraph", text)
            return
        level = min(level, MAX_HEADING_LEVEL)
        self._headings = [(depth, above) for depth, above in self._headings if depth < level]
        self._block("heading", text)
        self._headings.append((level, text))

    def set_headings(self, path: tuple[str, ...]) -> None:
        """Enclosing headings of the following blocks, where they are not part of the text."""
        self._headings = [(level, " ".join(clean(text).split())) for level, text in enumerate(path[:MAX_HEADING_LEVEL], 1)]

    def add_block(self, kind: str, text: str) -> None:
        """`kind`: paragraph, list, table or code. Text that is only white space is ignored."""
        text = clean(text)
        text = prose(text) if kind == "paragraph" else verbatim(text)
        if text.strip():
            self._block(kind, text)

    def add_picture(self, content: bytes) -> None:
        """A file of a picture that stands here, where pictures are wanted. What cannot be read is left out, with a note."""
        if not self.pictures.wanted:
            return
        encoded = encoded_file(content)
        if encoded is None:
            self.add_note(LEFT_OUT)
        else:
            self.place_picture(encoded)

    def place_picture(self, encoded: "Encoded", near: str = "") -> None:
        """`near`: words of the document that stand beside it, where they are known."""
        self.pictures.add(encoded, self.size, self.page, self._paths.setdefault(self.path, len(self._paths)), near)

    def add_note(self, text: str) -> None:
        if text and len(self._notes) < MAX_NOTES:
            self._notes[": ".join((*self._parts, text))] = None

    def _block(self, kind: str, text: str) -> None:
        start = self._length + len(BLOCK_SEPARATOR) if self._texts else 0
        self._length = start + len(text)
        if self._length > self.limits.characters:
            raise ParseError(f"the file holds more than {self.limits.characters:,} characters of text: split it")
        self._texts.append(text)
        index = self._paths.setdefault(self.path, len(self._paths))
        self._blocks.append((kind, start, self._length, self.page, index))

    def to_dict(self) -> dict[str, object]:
        """JSON-compatible, read by reply.py in the parent process. Raises ParseError for an empty document."""
        if not self._blocks:
            raise ParseError("the file holds no text")
        text = BLOCK_SEPARATOR.join(self._texts)
        return {
            "text": text,
            "blocks": self._blocks,
            "paths": list(self._paths),
            "media_type": self.media_type,
            "title": self._title,
            "notes": list(self._notes),
            "pictures": self.pictures.rows(text, self._blocks),
        }
