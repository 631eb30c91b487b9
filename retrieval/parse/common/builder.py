"""Builds a document block by block, for the parsers of all formats."""

from retrieval.parse.common.clean import clean, prose, verbatim
from retrieval.parse.limits import Limits, ParseError

MAX_HEADING = 300  # characters; longer headings become paragraphs
MAX_HEADING_LEVEL = 6
MAX_NOTES = 20
BLOCK_SEPARATOR = "\n\n"  # between blocks
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

    @property
    def size(self) -> int:
        """Number of blocks so far."""
        return len(self._blocks)

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(text for _, text in self._headings)

    def set_title(self, text: str | None) -> None:
        """Only the first non-empty title is kept."""
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

    def add_note(self, text: str) -> None:
        if text and len(self._notes) < MAX_NOTES:
            self._notes[text] = None

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
        return {
            "text": BLOCK_SEPARATOR.join(self._texts),
            "blocks": self._blocks,
            "paths": list(self._paths),
            "media_type": self.media_type,
            "title": self._title,
            "notes": list(self._notes),
        }
