"""Tables with ruling lines: the cells are what the lines enclose."""

import math
from bisect import bisect
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

from retrieval.parse.common.grid import Cell
from retrieval.parse.pdf.page.geometry import Box
from retrieval.parse.pdf.page.lines import Line, Word
from retrieval.parse.pdf.tables.table import Boxes, Table

TOUCHING = 3.0  # points: lines this near to each other meet
MIN_COLUMNS, MIN_ROWS = 2, 2
MIN_CELLS = 3  # with text
MAX_LINES = 1_500  # of a page: more are a drawing
MAX_OPEN_LINES = 4  # horizontal lines of a table whose rows nothing separates: around its header, its body, perhaps its sums
MAX_CELL = 300  # characters of the median filled cell: longer ones are boxes around text, no table

MIN_REGULAR = 0.6  # of the positions in the grid are cells of their own: with fewer it is a form of boxes, without columns

Placed = tuple[Word, Line]  # a word and the line that it stands in


class _At(NamedTuple):
    row: int
    column: int


def ruled_grids(rules: Sequence[Box]) -> list["RuledGrid"]:
    """Groups of lines that meet, where they enclose at least 2 columns and 2 rows. The smallest first: they may lie in others."""
    distinct = list({tuple(map(round, rule)): rule for rule in rules}.values())  # neighbouring cells draw the same edge
    if not 4 <= len(distinct) <= MAX_LINES:
        return []
    found = [grid for group in _connected(distinct) if (grid := _grid(group))]
    return sorted(found, key=lambda grid: (grid.xs[-1] - grid.xs[0]) * (grid.ys[0] - grid.ys[-1]))


@dataclass(frozen=True, slots=True)
class RuledGrid:
    """`xs` and `ys`: positions of the vertical lines, ascending, and of the horizontal ones, descending."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    rules: tuple[Box, ...]

    @property
    def box(self) -> Box:
        return self.xs[0], self.ys[-1], self.xs[-1], self.ys[0]

    def holds(self, word: Word, line: Line) -> bool:
        return self.xs[0] <= (word.left + word.right) / 2 <= self.xs[-1] and self.ys[-1] <= line.middle <= self.ys[0]

    def filled(self, words: Sequence[Placed]) -> Table | Boxes | None:
        """With the words inside. None if their cells are too few or too long for a table."""
        owners = self._owners()
        texts: dict[_At, list[Placed]] = defaultdict(list)
        downwards = [-y for y in self.ys]
        for word, line in words:
            at = _At(_slot(downwards, -line.middle), _slot(self.xs, (word.left + word.right) / 2))
            texts[owners[at]].append((word, line))
        if len(texts) < MIN_CELLS or median(sum(len(word.text) for word, _ in cell) for cell in texts.values()) > MAX_CELL:
            return None
        rows = sorted({at.row for at, owner in owners.items() if owner in texts})
        columns = sorted({owner.column for owner in texts})
        shown = [_At(row, column) for row in rows for column in columns]
        size = median(line.size for _, line in words)
        if len({owners[at] for at in shown}) < MIN_REGULAR * len(shown):
            return Boxes(tuple(_text(texts[owner]) for owner in sorted(texts)), self.ys[0], self.ys[-1], size)
        made = list(self._rows(shown, owners, texts))
        if len(made) < MIN_ROWS or len(columns) < MIN_COLUMNS:
            return None
        return Table(tuple(made), tuple((self.xs[number], self.xs[number + 1]) for number in columns), self.ys[0], self.ys[-1], size)

    def _owners(self) -> dict[_At, _At]:
        """Position -> the upper left one of those it is merged with: no line runs between them."""
        owners: dict[_At, _At] = {}
        beside, above = _Spans(self.rules, 0), _Spans(self.rules, 1)
        for row, (top, bottom) in enumerate(pairwise(self.ys)):
            for column, (left, right) in enumerate(pairwise(self.xs)):
                owner = _At(row, column)
                if column and not beside.reach(left, (top + bottom) / 2):
                    owner = owners[_At(row, column - 1)]
                elif row and not above.reach(top, (left + right) / 2):
                    owner = owners[_At(row - 1, column)]
                owners[_At(row, column)] = owner
        return owners

    def _rows(self, shown: Sequence[_At], owners: dict[_At, _At], texts: dict[_At, list[Placed]]) -> Iterator[tuple[Cell, ...]]:
        """Cells in the rows and columns in which they begin."""
        covered: dict[_At, list[_At]] = defaultdict(list)
        for at in shown:
            covered[owners[at]].append(at)
        for _, row in groupby(shown, lambda at: at.row):
            positions = list(row)
            cells = [texts.get(at, []) for at in positions]
            if len(self.ys) <= MAX_OPEN_LINES and (heights := _heights_of_rows(cells)):
                yield from (tuple(Cell(_text([item for item in cell if _at_height(item, y)])) for cell in cells) for y in heights)
                continue
            begin = (owners[at] for at in positions if covered[owners[at]][0] == at)
            yield tuple(_cell(texts.get(owner, []), covered[owner]) for owner in begin)


class _Spans:
    """Lines of one direction by their place. `axis`: 0 for vertical ones, 1 for horizontal ones."""

    def __init__(self, rules: Sequence[Box], axis: int) -> None:
        found: dict[int, list[tuple[float, float]]] = defaultdict(list)
        for rule in rules:
            if rule[axis] == rule[axis + 2]:
                for near in range(round(rule[axis] - TOUCHING), round(rule[axis] + TOUCHING) + 1):
                    found[near].append((rule[1 - axis], rule[3 - axis]))
        self._found = {place: _joined_spans(spans) for place, spans in found.items()}

    def reach(self, place: float, across: float) -> bool:
        """Whether one of those at `place` runs past `across`."""
        spans = self._found.get(round(place), ())
        at = bisect(spans, (across, math.inf)) - 1
        return at >= 0 and across <= spans[at][1]


def _joined_spans(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Ascending, those that touch or overlap as one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _cell(words: Sequence[Placed], covered: Sequence[_At]) -> Cell:
    if len(covered) == 1:
        return Cell(_text(words))
    return Cell(_text(words), len({at.row for at in covered}), len({at.column for at in covered}))


def _text(cell: Sequence[Placed]) -> str:
    """Lines from top to bottom; pieces at one height from left to right, whenever they were drawn."""
    if len(cell) == 1:
        return cell[0][0].text
    if all(line is cell[0][1] for _, line in cell):
        return " ".join(word.text for word, _ in cell)
    found: dict[int, tuple[Line, list[Word]]] = {}
    for word, line in cell:
        found.setdefault(id(line), (line, []))[1].append(word)
    heights = _baselines(cell)

    def place(part: tuple[Line, list[Word]]) -> tuple[int, float]:
        line, words = part
        return next(at for at, y in enumerate(heights) if y - line.middle <= line.size / 2), words[0].left

    return " ".join(word.text for _, words in sorted(found.values(), key=place) for word in words)


def _at_height(item: Placed, y: float) -> bool:
    return abs(item[1].middle - y) <= item[1].size / 2


def _heights_of_rows(cells: Sequence[Sequence[Placed]]) -> list[float]:
    """Where each line of text is a row of its own: the first column has one at each height. Empty: the cells hold wrapped text."""
    columns = [_baselines(cell) for cell in cells if cell]
    if len(columns) < 2 or len(columns[0]) < 3 or min(map(len, columns)) * 2 < len(columns[0]):
        return []
    level = all(any(abs(y - first) <= TOUCHING for first in columns[0]) for column in columns[1:] for y in column)
    return columns[0] if level else []


def _baselines(cell: Sequence[Placed]) -> list[float]:
    found: list[float] = []
    for _, line in sorted(cell, key=lambda item: -item[1].middle):
        if not found or found[-1] - line.middle > line.size / 2:
            found.append(line.middle)
    return found


def _connected(rules: Sequence[Box]) -> list[list[Box]]:
    """Groups of lines that cross or touch, directly or through others."""
    group_of = list(range(len(rules)))

    def root(at: int) -> int:
        while group_of[at] != at:
            group_of[at] = group_of[group_of[at]]
            at = group_of[at]
        return at

    flat = [(at, rule) for at, rule in enumerate(rules) if rule[1] == rule[3]]
    for at, (x, low, _, high) in enumerate(rules):
        if low != high:
            for other, (left, y, right, _) in flat:
                if left - TOUCHING <= x <= right + TOUCHING and low - TOUCHING <= y <= high + TOUCHING:
                    group_of[root(other)] = root(at)
    groups: dict[int, list[Box]] = defaultdict(list)
    for at, rule in enumerate(rules):
        groups[root(at)].append(rule)
    return list(groups.values())


def _grid(rules: Sequence[Box]) -> RuledGrid | None:
    xs = _merged([rule[0] for rule in rules if rule[0] == rule[2]])
    ys = _merged([rule[1] for rule in rules if rule[1] == rule[3]])
    if len(ys) < 2 or len(xs) < 2:
        return None
    left, right = min(rule[0] for rule in rules), max(rule[2] for rule in rules)
    xs = [*([left] if xs[0] - left > 3 * TOUCHING else []), *xs, *([right] if right - xs[-1] > 3 * TOUCHING else [])]  # open sides
    if len(xs) <= MIN_COLUMNS or len(ys) < MIN_ROWS:
        return None
    return RuledGrid(tuple(xs), tuple(reversed(ys)), tuple(rules))


def _merged(values: list[float]) -> list[float]:
    found: list[float] = []
    for value in sorted(values):
        if not found or value - found[-1] > TOUCHING:
            found.append(value)
    return found


def _slot(edges: Sequence[float], place: float) -> int:
    """Number of the gap between ascending edges that a place is in."""
    return min(max(bisect(edges, place) - 1, 0), len(edges) - 2)
