"""Units that chunking keeps whole, and token counts of text ranges."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from retrieval.api import Block
from retrieval.chunking.sentences import sentences

TOKENIZED_CHARACTERS = 100_000  # characters tokenized at a time: as Python objects a token's offsets take far more memory than its text


@dataclass(frozen=True, slots=True)
class Span:
    """A range of characters of the document."""

    start: int
    end: int
    kind: str  # of the block


class TokenIndex:
    """Start and end of each token of a text."""

    def __init__(self, text: str, offsets: Callable[[str], Sequence[tuple[int, int]]]) -> None:
        self._starts, self._ends = array("q"), array("q")
        at = 0
        while at < len(text):
            end = _line_end(text, at + TOKENIZED_CHARACTERS)
            for start, stop in offsets(text[at:end]):
                if stop > start:
                    self._starts.append(at + start)
                    self._ends.append(at + stop)
            at = end

    def tokens(self, start: int, end: int) -> int:
        """Number of tokens that lie, whole or in part, in [start, end)."""
        return max(bisect_left(self._starts, end) - bisect_right(self._ends, start), 0)

    def count(self, span: Span) -> int:
        return self.tokens(span.start, span.end)

    def end_within(self, start: int, end: int, limit: int) -> int:
        """The furthest token end, at most `end`, such that [start, it) has at most `limit` tokens, but at least one."""
        last = bisect_right(self._ends, start) + max(limit, 1) - 1
        return min(self._ends[last], end) if last < len(self._ends) else end

    def word_start(self, text: str, span: Span, end_of_text: int, limit: int) -> int:
        """The first word start in the span from which at most `limit` tokens remain until `end_of_text`, else `end_of_text`."""
        earliest = bisect_left(self._starts, end_of_text) - limit
        for at in range(max(earliest, 0), bisect_left(self._starts, span.end)) if limit > 0 else ():
            start = self._starts[at]
            if start > span.start and text[start - 1].isspace():
                return start
        return end_of_text


def split_units(text: str, block: Block, token_index: TokenIndex, limit: int) -> Iterator[Span]:
    """Sentences of a paragraph, lines of any other block; those above `limit` tokens are split."""
    inside = text[block.start : block.end]
    for first, last in sentences(inside) if block.kind == "paragraph" else _lines(inside):
        start, end = block.start + first, block.start + last
        while token_index.tokens(start, end) > limit:
            cut = _cut_position(text, start, token_index.end_within(start, end, limit))
            yield Span(start, cut, block.kind)
            start = _skip_space(text, cut, end)
        if start < end:
            yield Span(start, end, block.kind)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for line in text.splitlines(keepends=True):
        if line.strip():
            yield at, at + len(line.rstrip())
        at += len(line)


def _cut_position(text: str, start: int, end: int) -> int:
    """Where to cut in the second half of text[start:end]: after a line, else a sentence, a clause, a word, else at its end."""
    half = (start + end) // 2
    for marks in (("\n",), (". ", "! ", "? ", "。", "！", "？"), ("; ", ": ", ", ", "、", "，"), (" ",)):
        found = max(text.rfind(mark, half, end) + len(mark.rstrip(" ")) if mark in text[half:end] else -1 for mark in marks)
        if found > half:
            return len(text[:found].rstrip()) if text[found - 1].isspace() else found
    return end


def _skip_space(text: str, at: int, end: int) -> int:
    while at < end and text[at].isspace():
        at += 1
    return at


def _line_end(text: str, at: int) -> int:
    found = text.rfind("\n", at - TOKENIZED_CHARACTERS // 2, at) if at < len(text) else -1
    return found + 1 if found >= 0 else min(at, len(text))
