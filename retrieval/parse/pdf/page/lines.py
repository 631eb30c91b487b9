"""Lines of text with the positions of their words. Coordinates are points of the page as it is shown; y grows upwards."""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

HYPHEN = "\ufffe"  # PDFium's marker for a hyphen at the end of a line, within a word; the text of words keeps it
PIECE_GAP = 0.75  # of the line height: a wider gap between words separates table cells or columns


class Word(NamedTuple):
    text: str
    left: float
    right: float


class Line(NamedTuple):  # not a dataclass: a document has hundreds of thousands
    """Words on a common baseline, in reading order."""

    words: tuple[Word, ...]
    left: float
    top: float
    right: float
    bottom: float
    size: float  # line height
    sideways: bool = False  # its text runs upwards or downwards
    gap: float = 0.0  # the widest between two words

    @property
    def text(self) -> str:
        return self.words[0].text if len(self.words) == 1 else " ".join(word.text for word in self.words)

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def line_of(words: Iterable[Word], top: float, bottom: float, size: float) -> Line:
    """From words from left to right."""
    words = tuple(words)
    if len(words) == 1:
        return Line(words, words[0].left, top, words[0].right, bottom, size)
    gap = widest_gap(words)
    return Line(words, min(word.left for word in words), top, max(word.right for word in words), bottom, size, gap=gap)


def widest_gap(words: tuple[Word, ...]) -> float:
    gaps = (max(after.left - before.right, before.left - after.right) for before, after in pairwise(words))  # also from right to left
    return max(gaps, default=0.0)


def pieces(line: Line) -> list[Line]:
    """Splits a line at wide gaps."""
    limit = PIECE_GAP * line.size
    if line.gap <= limit or line.sideways:
        return [line]
    found, last = [[line.words[0]]], line.words[0]
    for word in line.words[1:]:
        if word.left - last.right > limit or last.left - word.right > limit:  # also from right to left
            found.append([word])
        else:
            found[-1].append(word)
        last = word
    return [line_of(words, line.top, line.bottom, line.size) for words in found]


def merged(line: Line) -> Line:
    """The same with one word for each piece: a document of many pages takes less memory."""
    if len(line.words) == 1:
        return line
    if line.sideways:
        return line._replace(words=(Word(line.text, line.left, line.right),))
    return line._replace(words=tuple(Word(piece.text, piece.left, piece.right) for piece in pieces(line)))
