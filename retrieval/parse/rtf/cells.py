"""Cells of RTF tables, which say where they end and not which columns they cover."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from retrieval.parse.common.grid import Cell

TOLERANCE = 60  # twips between edges that are the same column's


@dataclass(frozen=True, slots=True)
class RowCell:
    """`merge`: "left" or "up", the neighbour that the cell continues, else "". `right`: its edge, in twips from the left."""

    text: str
    merge: str
    right: int


def in_columns(rows: Sequence[Sequence[RowCell]]) -> Iterator[list[Cell]]:
    """A cell that reaches over edges of cells in other rows covers their columns."""
    edges = _edges(rows)
    above = list[Cell]()
    for row in rows:
        cells, left = list[Cell](), 0
        for cell in row:
            columns = max(sum(left < edge <= cell.right + TOLERANCE for edge in edges), 1)
            left = max(left, cell.right + TOLERANCE)
            if cell.merge == "left" and cells:
                cells[-1] = replace(cells[-1], text=f"{cells[-1].text} {cell.text}".strip(), columns=cells[-1].columns + columns)
            else:
                text = above[len(cells)].text if cell.merge == "up" and len(cells) < len(above) else cell.text
                cells.append(Cell(text, columns=columns))
        above = cells
        yield cells


def _edges(rows: Sequence[Sequence[RowCell]]) -> list[int]:
    edges = list[int]()
    for right in sorted({cell.right for row in rows for cell in row}):
        if not edges or right > edges[-1] + TOLERANCE:
            edges.append(right)
    return edges
