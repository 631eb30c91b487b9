"""Tables of Word documents as cells with their spans (ECMA-376, part 1, 17.4)."""

from collections.abc import Callable, Iterator

from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common.grid import Cell

ROW, CELL, VALUE = qn("w:tr"), qn("w:tc"), qn("w:val")
CONTAINERS = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:customXml", "w:ins", "w:moveTo")))
REMOVED = ("w:trPr/w:del", "w:trPr/w:moveFrom")
OFF = ("0", "false", "off")
MAX_SPAN = 1_000


def rows(table: Element, text: Callable[[Element], str]) -> list[list[Cell]]:
    """`text` gives the text of a cell. Rows that a tracked change removes are left out."""
    found = list(_kept(table))
    laid = [list(_cells(row, text)) for row in found]
    heads = [_on(_find(row, "w:trPr/w:tblHeader")) for row in found]
    starts = [dict(_positions(cells)) for cells in laid]
    result = list[list[Cell]]()
    for at, cells in enumerate(laid):
        line = list[Cell]()
        for column, (cell, merge) in _positions(cells):
            if merge == "continue" and at and column in starts[at - 1]:
                continue
            height = _height(starts, at, column) if merge == "restart" else 1
            line.append(Cell(cell.text, height, cell.columns, heads[at]))
        result.append(line)
    return result


def single_cells(table: Element) -> Iterator[Element]:
    """The cells of a table that has one column; none if it has more."""
    found = [list(_inside(row, CELL)) for row in _kept(table)]
    if all(len(cells) < 2 for cells in found):
        yield from (cell for cells in found for cell in cells)


def _kept(table: Element) -> Iterator[Element]:
    return (row for row in _inside(table, ROW) if not any(_find(row, path) is not None for path in REMOVED))


def _inside(parent: Element, tag: str) -> Iterator[Element]:
    """Children of this tag, also inside content controls."""
    for child in parent:
        if child.tag == tag:
            yield child
        elif child.tag in CONTAINERS:
            yield from _inside(child, tag)


def _cells(row: Element, text: Callable[[Element], str]) -> Iterator[tuple[Cell, str]]:
    """Each cell with its part in a vertical merge: restart, continue or none."""
    if before := _number(_find(row, "w:trPr/w:gridBefore"), 0):
        yield Cell("", columns=before), ""
    for cell in _inside(row, CELL):
        merge = _find(cell, "w:tcPr/w:vMerge")
        part = "" if merge is None else merge.get(VALUE, "continue")
        yield Cell("" if part == "continue" else text(cell), columns=_number(_find(cell, "w:tcPr/w:gridSpan"), 1) or 1), part


def _positions(cells: list[tuple[Cell, str]]) -> Iterator[tuple[int, tuple[Cell, str]]]:
    column = 0
    for cell, merge in cells:
        yield column, (cell, merge)
        column += cell.columns


def _height(starts: list[dict[int, tuple[Cell, str]]], at: int, column: int) -> int:
    height = 1
    while at + height < len(starts) and starts[at + height].get(column, (None, ""))[1] == "continue":
        height += 1
    return height


def _find(element: Element, path: str) -> Element | None:
    return element.find("/".join(map(qn, path.split("/"))))


def _number(element: Element | None, missing: int) -> int:
    value = "" if element is None else element.get(VALUE, "")
    return min(int(value), MAX_SPAN) if value.isdecimal() else missing


def _on(element: Element | None) -> bool:
    return element is not None and element.get(VALUE, "1") not in OFF
