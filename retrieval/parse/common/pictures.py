"""The pictures of a document, and which of its words stand beside each."""

import base64
import hashlib
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrieval.parse.limits import Limits

if TYPE_CHECKING:
    from retrieval.parse.common.picture_files import Encoded

MAX_WORDS = 500  # characters beside a picture
LEFT_OUT = "pictures that are damaged, or of a kind that is not read, were left out"
_CAPTION = re.compile(r"(fig|abb|abbildung|figure|picture|photo|image|chart|diagram|illustration|bild|foto|imagen|图|図|рис)\w*\b", re.I)

BlockRow = tuple[str, int, int, int | None, int]  # kind, start, end, page, index of the heading path


@dataclass(frozen=True, slots=True)
class _Placed:
    """`before`: blocks that stand before it. `near`: words that are known to stand beside it, "" where none are."""

    encoded: "Encoded"
    before: int
    page: int | None
    path: int
    near: str


class Pictures:
    """Collects up to `Limits.pictures`, each once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._placed: list[_Placed] = []
        self._known = set[bytes]()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._placed)

    @property
    def wanted(self) -> bool:
        return len(self._placed) < self._limits.pictures and self._bytes < self._limits.picture_bytes

    def add(self, encoded: "Encoded", before: int, page: int | None, path: int, near: str) -> None:
        digest = hashlib.sha256(encoded[0]).digest()
        if self.wanted and digest not in self._known:
            self._known.add(digest)
            self._bytes += len(encoded[0])
            self._placed.append(_Placed(encoded, before, page, path, near))

    def rows(self, text: str, blocks: Sequence[BlockRow]) -> list[list[Any]]:
        """JSON-compatible, read by reply.py: content, media type, start and end of its words, page, index of the heading path."""
        return [
            [base64.b64encode(one.encoded[0]).decode(), one.encoded[1], *_words(one, text, blocks), one.page, one.path]
            for one in self._placed
        ]


def _words(one: _Placed, text: str, blocks: Sequence[BlockRow]) -> tuple[int, int]:
    """The words that are known, to the end of their block; else its caption; else what stands before and after it on its page."""
    here = [row for row in blocks if one.page is None or row[3] == one.page] or list(blocks)
    if one.near and (found := next((row for row in here if one.near in text[row[1] : row[2]]), None)):
        return _cut(text.index(one.near, found[1]), found[2])
    beside = [row for row in blocks[max(0, one.before - 1) : one.before + 1] if row in here] or here[-1:]
    beside = beside[1:] if len(beside) > 1 and beside[0][0] == "heading" else beside  # it is among the headings above
    captions = [row for row in reversed(beside) if _CAPTION.match(text[row[1] : row[2]])]
    first, last = (captions[0], captions[0]) if captions else (beside[0], beside[-1])
    if last[2] - first[1] > MAX_WORDS:
        first = last
    return _cut(first[1], last[2])


def _cut(start: int, end: int) -> tuple[int, int]:
    return start, min(end, start + MAX_WORDS)


def encoded_file(content: bytes) -> "Encoded | None":
    """Imports Pillow, which only documents with pictures need."""
    from retrieval.parse.common.picture_files import encode_file

    return encode_file(io.BytesIO(content))
