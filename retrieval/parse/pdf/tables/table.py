"""Tables of a PDF: what is found of them on a page, and how they go on on the next."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from retrieval.parse.common import grid, header
from retrieval.parse.common.grid import Cell
from retrieval.parse.common.header import SAMPLE_ROWS, Named
from retrieval.parse.pdf.page.lines import Line

SAME_EDGE = 6.0  # points between the columns of a table and those of its next part


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as retrieval.parse.common.grid takes them, and where they stand. `columns`: left and right edge of each."""

    rows: tuple[tuple[Cell, ...], ...]
    columns: tuple[tuple[float, float], ...]
    top: float
    bottom: float
    size: float  # line height of its text


@dataclass(frozen=True, slots=True)
class Boxes:
    """Texts of boxes that are no table, as those of forms, in reading order."""

    texts: tuple[str, ...]
    top: float
    bottom: float
    size: float


Item = Line | Table | Boxes


def texts_of(item: Item) -> Iterator[str]:
    match item:
        case Line():
            yield item.text
        case Table():
            yield from (cell.text for row in item.rows for cell in row)
        case Boxes():
            yield from item.texts


def names(table: Table) -> tuple[tuple[Cell, ...], ...]:
    """Its rows that name the columns."""
    laid = [grid.texts(row) for row in grid.lay_out(table.rows[:SAMPLE_ROWS])]
    match header.detect(laid):
        case Named(depth):
            return tuple(tuple(replace(cell, heading=True) for cell in row) for row in table.rows[:depth])
        case _:
            return ()


def continues(table: Table, before: Table) -> bool:
    """Whether the first table of a page has the columns of the last one on the page before."""
    return len(table.columns) == len(before.columns) and all(
        min(abs(one[0] - other[0]), abs(one[1] - other[1])) <= SAME_EDGE for one, other in zip(table.columns, before.columns, strict=True)
    )


def with_names(table: Table, above: Sequence[tuple[Cell, ...]]) -> Table:
    """The table under the column names `above`, unless it repeats them itself."""
    texts = [[cell.text for cell in row] for row in (*above, *table.rows)]
    return table if texts[len(above) : 2 * len(above)] == texts[: len(above)] else replace(table, rows=(*above, *table.rows))
