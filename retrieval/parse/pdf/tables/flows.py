"""Columns and tables without ruling lines: PDF has neither, only words at places. Text drawn across columns row by row is put in order."""

import math
import re
from bisect import bisect, bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median

from retrieval.parse.common.grid import Cell
from retrieval.parse.pdf.page.lines import PIECE_GAP, Line, pieces
from retrieval.parse.pdf.tables.drawn_columns import by_rows
from retrieval.parse.pdf.tables.table import Item, Table

MIN_ROWS = 3  # of a region that is a table or columns; of 2 rows with many columns
MIN_PIECES = 3  # of a line with dots that is a row of a table
FULL_LINE = 0.72  # of a column's width: prose fills its lines on average
PROSE_CHARACTERS = 18  # of a line of prose in a narrow column
ROW_DISTANCE = 3.6  # of the line height: rows further apart belong to different tables
ALIGNED_SHARE = 0.6  # of a table's cells begin, end or are centred at the same place
_MARKER = re.compile(r"^(?:[•‣▪●○◦■□–—*·➢✓-]|[\[(]?(?:\d{1,3}|[A-Za-z]|[ivx]{1,5})[\])]?[.):]?|\d{1,2}(?:\.\d{1,2}){1,3}\.?|§ ?\d+)$")
_LEADER = re.compile(r"(?:\s?\.){4,}")


def arranged(lines: Sequence[Line]) -> list[Item]:
    """Lines in PDFium's order, with tables as rows and columns one after the other."""
    lines = by_rows(lines)
    if not any(_is_split(line) for line in lines) and not _alternates(lines):
        return list(lines)
    made: list[Item] = []
    at = 0
    while at < len(lines):
        region = _region(lines, at) if _starts_region(lines, at) else None
        found = _resolved(region) if region else None
        if region and found:
            made += found
            at += len(region.lines)
        else:
            made.append(lines[at])
            at += 1
    return made


@dataclass(slots=True)
class _Region:
    """Consecutive lines whose pieces stand in columns: no piece reaches into two."""

    lines: list[Line] = field(default_factory=list[Line])
    columns: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])  # left and right edge, ascending
    rows: list[list[Line]] = field(default_factory=list[list[Line]])  # pieces at one height

    def take(self, line: Line) -> bool:
        """Adds the line. False: it does not fit."""
        parts, columns = pieces(line), list(self.columns)
        for part in parts:
            begin, end = bisect(columns, part.left, key=_right_edge), bisect_left(columns, part.right, key=_left_edge)
            if end - begin > 1:
                return False
            if end > begin:
                columns[begin] = min(columns[begin][0], part.left), max(columns[begin][1], part.right)
            else:
                columns.insert(begin, (part.left, part.right))
        if len(columns) < max(len(self.columns), len(parts)) or any(one[1] > other[0] for one, other in pairwise(columns)):
            return False
        self.columns = columns
        self.lines.append(line)
        last = self.rows[-1][0] if self.rows else None
        if last and abs(last.middle - line.middle) < 0.4 * line.size:
            self.rows[-1] += parts
        else:
            self.rows.append(parts)
        return True

    def column_of(self, piece: Line) -> int:
        """Columns do not overlap: the one whose left edge comes last before the middle of the piece."""
        return max(bisect(self.columns, ((piece.left + piece.right) / 2, math.inf)) - 1, 0)

    def cells(self) -> list[list[Line]]:
        """Of each column, from top to bottom."""
        found: list[list[Line]] = [[] for _ in self.columns]
        for row in self.rows:
            for piece in row:
                found[self.column_of(piece)].append(piece)
        return found


def _left_edge(column: tuple[float, float]) -> float:
    return column[0]


def _right_edge(column: tuple[float, float]) -> float:
    return column[1]


def _is_split(line: Line) -> bool:
    return line.gap > PIECE_GAP * line.size and not line.sideways


def _alternates(lines: Sequence[Line]) -> bool:
    return any(_beside(lines, at) for at in range(len(lines) - 1))


def _beside(lines: Sequence[Line], at: int) -> bool:
    """Whether the next line stands beside this one, not below."""
    if at + 1 >= len(lines):
        return False
    line, after = lines[at], lines[at + 1]
    apart = line.right < after.left or after.right < line.left
    return apart and abs(line.middle - after.middle) < line.size and not line.sideways and not after.sideways


def _starts_region(lines: Sequence[Line], at: int) -> bool:
    return _is_split(lines[at]) or _beside(lines, at)


def _region(lines: Sequence[Line], at: int) -> _Region | None:
    region = _Region()
    for line in lines[at:]:
        if line.sideways or _is_entry_of_contents(line) or not _follows(region, line) or not region.take(line):
            break
    return region if len(region.columns) > 1 and len(region.rows) > 1 else None


def _is_entry_of_contents(line: Line) -> bool:
    """Dots lead to a single number; in a table they lead to several."""
    return bool(_LEADER.search(line.text)) and len(pieces(line)) < MIN_PIECES


def _follows(region: _Region, line: Line) -> bool:
    """Whether the line is the next row downwards, in text of the same size."""
    if not region.lines:
        return True
    last = region.rows[-1][0]
    down = last.middle - line.middle
    return -0.4 * line.size < down < ROW_DISTANCE * max(line.size, last.size) and 0.6 < line.size / last.size < 1.6


def _drop_trailing(region: _Region) -> None:
    """Rows at the end with text in the first column alone are what follows, not part of it."""
    while region.rows and len(region.rows[-1]) == 1 and region.column_of(region.rows[-1][0]) == 0:
        row = region.rows.pop()
        region.lines = [line for line in region.lines if line.middle != row[0].middle]
    region.columns = [column for column, cells in zip(region.columns, region.cells(), strict=True) if cells]


def _resolved(region: _Region) -> list[Item] | None:
    columns = region.cells()
    if all(map(_is_prose, columns)) or _has_two_titles(region):
        return [piece for cells in columns for piece in cells] if len(region.rows) >= MIN_ROWS else None
    _drop_trailing(region)
    columns = region.cells()
    if len(columns) < 2 or len(region.rows) < 2:
        return None
    prose = [_is_prose(cells) for cells in columns]
    if len(columns) == 2 and any(prose):  # a label beside a paragraph, numbers of lines
        return None
    if any(all(_MARKER.match(cell.text) for cell in cells) for cells in columns[:1]) and len(columns) == 2:
        return None
    return _table(region, columns)


def _has_two_titles(region: _Region) -> bool:
    """Two lists side by side, as the addresses under `Bill to:` and `Ship to:`."""
    first = region.rows[0]
    return len(first) == len(region.columns) == 2 and all(piece.text.endswith(":") for piece in first)


def _is_prose(cells: Sequence[Line]) -> bool:
    """Lines that fill the column, with many words."""
    if len(cells) < MIN_ROWS:
        return False
    widths = [cell.right - cell.left for cell in cells]
    filled = fmean(widths) >= FULL_LINE * max(widths)
    return filled and fmean(len(cell.text) for cell in cells) >= PROSE_CHARACTERS and fmean(cell.text.count(" ") for cell in cells) >= 2


def _table(region: _Region, columns: Sequence[Sequence[Line]]) -> list[Item] | None:
    wide = sum(len(row) > 1 for row in region.rows)
    if len(region.rows) < (2 if len(columns) > 2 else MIN_ROWS) or wide < 0.5 * len(region.rows):
        return None
    if fmean(map(_aligned, columns)) < ALIGNED_SHARE:
        return None
    rows = tuple(tuple(map(Cell, row)) for row in _rows(region))
    size = median(line.size for line in region.lines)
    return [Table(rows, tuple(region.columns), region.lines[0].top, region.lines[-1].bottom, size)]


def _aligned(cells: Sequence[Line]) -> float:
    """Share of the cells that begin, end or are centred at the same place."""
    size = median(cell.size for cell in cells) / 2
    places = ([cell.left for cell in cells], [cell.right for cell in cells], [(cell.left + cell.right) / 2 for cell in cells])
    return max(_near(values, median(values), size) for values in places) / len(cells)


def _near(values: Sequence[float], middle: float, most: float) -> int:
    low, high = middle - most, middle + most
    return sum(low <= value <= high for value in values)


def _rows(region: _Region) -> list[list[str]]:
    """Cells by row; wrapped text goes to the row above."""
    made: list[list[str]] = []
    distances = [above[0].middle - below[0].middle for above, below in pairwise(region.rows)]
    usual = median(distances)
    for number, row in enumerate(region.rows):
        cells = [""] * len(region.columns)
        for piece in row:
            column = region.column_of(piece)
            cells[column] = f"{cells[column]} {_LEADER.sub('', piece.text)}".strip()
        if made and _continues(made[-1], cells, distances[number - 1] < 0.85 * usual):
            made[-1] = [" ".join(filter(None, pair)) for pair in zip(made[-1], cells, strict=True)]
        else:
            made.append(cells)
    return made


def _continues(above: Sequence[str], cells: Sequence[str], near: bool) -> bool:
    """Whether the cells are second lines of those above."""
    filled = [number for number, cell in enumerate(cells) if cell]
    if cells[0] or len(filled) * 2 > len(cells) or not all(above[number] for number in filled):
        return False
    return near or all(cells[number][:1].islower() for number in filled)
