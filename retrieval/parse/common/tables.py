"""Renders table rows as text that stays understandable when it is split between rows."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from retrieval.parse.common import grid, header
from retrieval.parse.common.grid import Cell, Continued, Grid
from retrieval.parse.common.header import SAMPLE_ROWS, Form, Layout, Named, Plain, Row

MAX_PLAIN_ROWS = 8  # of a table rendered with separators; in longer ones each row repeats the column names


def render(rows: Iterable[Sequence[Cell]]) -> str:
    """One line per row. Headings are the cells marked as such, else what looks like column names or labels."""
    laid = [row for row in grid.lay_out(rows) if any(position.text.strip() for position in row)]
    texts = [grid.texts(row) for row in laid]
    titles = _titles(texts)
    layout = _marked(laid, titles) or _detected(texts[titles : titles + SAMPLE_ROWS])
    if len(laid) - titles > MAX_PLAIN_ROWS or isinstance(layout, Form):
        return "\n".join(_lines(texts, titles, layout))
    return "\n".join(map(format_row, texts if isinstance(layout, Named) else map(_once, texts)))


def name_rows(rows: Iterable[Row]) -> Iterator[str]:
    """Lines of a table whose cells cover one position each, however long it is. Empty rows are left out."""
    rest = (row for row in rows if any(map(str.strip, row)))
    start = list(islice(rest, SAMPLE_ROWS))
    titles = _titles(start)
    return _lines(chain(start, rest), titles, _detected(start[titles:]))


def format_row(row: Row) -> str:
    return f"| {' | '.join(map(collapse_spaces, row))} |"


def collapse_spaces(cell: str) -> str:
    return " ".join(cell.split())


def _titles(rows: Sequence[Row]) -> int:
    """Number of rows above the table proper that hold one cell."""
    wide = [sum(map(bool, map(str.strip, row))) > 1 for row in rows]
    return wide.index(True) if any(wide) else 0


def _marked(laid: Grid, titles: int) -> Layout | None:
    """What the file marks as headings. None: nothing."""
    filled = [[position for position in row if position.text.strip()] for row in laid]
    depth = next((at for at, row in enumerate(filled) if not all(position.heading for position in row)), 0)
    if depth > titles:
        return Named(depth - titles)
    labelled = [row[0].heading and not any(position.heading for position in row[1:]) for row in filled if len(row) > 1]
    return Form() if labelled and all(labelled) and max(map(len, filled)) == 2 else None


def _detected(rows: Sequence[Row]) -> Layout:
    """Labels and values may cover several columns each."""
    once = [*map(_once, rows)]
    layout = header.detect(once)
    return layout if isinstance(layout, Form) or max(map(len, once), default=0) == 2 else header.detect(rows)


def _once(row: Row) -> list[str]:
    """Without the repetitions of cells that cover several columns."""
    return [text for text in row if not isinstance(text, Continued)]


def _lines(rows: Iterable[Row], titles: int, layout: Layout) -> Iterator[str]:
    rest = iter(rows)
    yield from (collapse_spaces(" ".join(row)) for row in islice(rest, titles))
    match layout:
        case Named(depth):
            yield from _named(header.join_names(list(islice(rest, depth))), rest)
        case Form():
            yield from (_form_row(_once(row)) for row in rest)
        case Plain():
            yield from (format_row(_once(row)) for row in rest)


def _named(names: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Yields lines like `Name: Ada; Born: 1815`. Empty cells are left out; without a column name a cell is its value alone. Names of
    columns without any value follow the rows."""
    empty = {index for index, name in enumerate(names) if name}
    for row in rows:
        if len(row) == 1 < len(names):  # the title of the rows below it
            yield collapse_spaces(row[0])
            continue
        cells = [collapse_spaces(value) for value in row]
        empty -= {index for index in empty if index < len(cells) and cells[index]}
        yield "; ".join(filter(None, (_named_cell(names[at] if at < len(names) else "", cell) for at, cell in enumerate(cells))))
    if empty:
        yield f"Empty columns: {', '.join(names[index] for index in sorted(empty))}"


def _named_cell(name: str, value: str) -> str:
    return f"{name.rstrip(':')}: {value}" if name and value else value


def _form_row(row: Row) -> str:
    """`Supplier: Aalto Oy; Contact: Mia Salo`. Pairs may have gaps between them."""
    cells, pairs = [*map(collapse_spaces, row), ""], list[str]()
    while cells:
        label = cells.pop(0)
        value = cells.pop(0) if label and cells else ""
        pairs.append(_named_cell(label, value) or label)
    return "; ".join(filter(None, pairs))
