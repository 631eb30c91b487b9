"""Merged cells of a sheet whose rows are streamed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from retrieval.parse.common.grid import Continued, RepeatedText


@dataclass(frozen=True, slots=True)
class Range:
    """Columns and rows from 1, both ends included."""

    left: int
    top: int
    right: int
    bottom: int


class MergedCells:
    """Follows merged cells from row to row; rows must be passed in their order. `ranges`: by their first row."""

    def __init__(self, ranges: Mapping[int, list[Range]]) -> None:
        self._waiting = sorted(ranges.items(), reverse=True)
        self._open = list[tuple[Range, str]]()
        self._repeated = RepeatedText()

    def complete(self, row: int, own: dict[int, str]) -> Iterator[list[str]]:
        """The row with the text of merged cells in all their columns. A row that merged cells alone reach into
        is none; one that holds nothing but a merged cell has a single text. `own`: the texts of its cells by column."""
        self._open = [(cells, text) for cells, text in self._open if cells.bottom >= row]
        while self._waiting and self._waiting[-1][0] <= row:
            self._open += [(cells, own.get(cells.left, "")) for cells in self._waiting.pop()[1] if cells.bottom >= row]
        covered = [(cells, text) for cells, text in self._open if text]
        filled = [column for column, text in own.items() if text]
        if len(filled) == 1 and any(cells.top == row and cells.left == filled[0] < cells.right for cells, _ in covered):
            yield [own[filled[0]]]
        elif filled or not covered:
            texts = self._covering(own, covered)
            yield [texts.get(column, "") for column in range(1, max(texts, default=0) + 1)]

    def _covering(self, own: dict[int, str], covered: list[tuple[Range, str]]) -> dict[int, str]:
        texts = dict(own)
        for cells, text in covered:
            for column in range(cells.left, cells.right + 1):
                if not texts.get(column):
                    repeated = self._repeated.repeat(text)
                    texts[column] = repeated if column == cells.left else Continued(repeated)
        return texts
