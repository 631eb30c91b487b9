"""Lays the cells of a table out on a grid, as the spans of merged cells demand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

MAX_COLUMNS = 1_000
MAX_REPEATED = 200  # characters: longer text stands only in the first of the positions that its cell covers
MAX_REPEATED_TOTAL = 1_000_000  # characters of a table


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as a file stores it. Rows list only the cells that begin in them, as HTML does."""

    text: str
    rows: int = 1  # rows that it covers; 0: all below
    columns: int = 1  # columns that it covers
    heading: bool = False  # marked as a heading by the file


@dataclass(frozen=True, slots=True)
class Position:
    """One position of the grid. All positions that a cell covers hold its text."""

    text: str = ""
    heading: bool = False
    continued: bool = False  # the cell begins further left


class Continued(str):
    """In a row of texts, the text of a cell that begins further left."""

    __slots__ = ()


Grid = list[list[Position]]
EMPTY = Position()


def lay_out(rows: Iterable[Sequence[Cell]]) -> Grid:
    """A rectangular grid, without the columns in which no cell begins."""
    repeated, open_, grid = RepeatedText(), dict[int, tuple[int, Position]](), Grid()
    for cells in rows:
        line, column = dict[int, Position](), 0
        for at, (left, position) in list(open_.items()):
            line[at] = replace(position, text=repeated.repeat(position.text))
            open_[at] = (left - 1, position)
        for cell in cells:
            while column in line:
                column += 1
            _place(cell, column, line, open_, repeated)
        open_ = {at: (left, position) for at, (left, position) in open_.items() if left}
        grid.append([line.get(at, EMPTY) for at in range(max(line, default=-1) + 1)])
    return _without_empty_columns(grid)


def texts(row: Sequence[Position]) -> list[str]:
    """One text per column; a cell that covers the whole width gives a single one."""
    if len(row) > 1 and row[0].text and all(position.continued for position in row[1:]):
        return [row[0].text]
    return [Continued(position.text) if position.continued else position.text for position in row]


class RepeatedText:
    """Bounds the text that the spans of one table repeat: a few bytes of a hostile file may demand millions of positions."""

    def __init__(self) -> None:
        self._left = MAX_REPEATED_TOTAL

    def repeat(self, text: str) -> str:
        """The text, or "" where it is too long or too much."""
        if len(text) > min(MAX_REPEATED, self._left):
            return ""
        self._left -= len(text)
        return text


def _place(cell: Cell, first: int, line: dict[int, Position], open_: dict[int, tuple[int, Position]], repeated: RepeatedText) -> None:
    below = -1 if cell.rows == 0 else cell.rows - 1  # -1 never reaches 0
    for column in range(first, min(first + max(cell.columns, 1), MAX_COLUMNS)):
        if column in line:  # a span from above: the table is overlapping
            break
        position = Position(cell.text, cell.heading, column > first)
        line[column] = replace(position, text=repeated.repeat(cell.text)) if column > first else position
        if below:
            open_[column] = (below, position)


def _without_empty_columns(grid: Grid) -> Grid:
    width = max(map(len, grid), default=0)
    began = {column for row in grid for column, position in enumerate(row) if not position.continued and position is not EMPTY}
    kept = [column for column in range(width) if column in began]
    return [[row[column] if column < len(row) else EMPTY for column in kept] for row in grid]
