"""Renders table rows as text that stays understandable when it is split between rows."""

from collections.abc import Iterable, Iterator, Sequence

MAX_PLAIN_ROWS = 8  # of a table rendered as a grid; in longer ones each row repeats the column names

Row = Sequence[str]


def render(rows: Sequence[Row], *, header: bool) -> str:
    """One line per row. With `header` the first row holds the column names."""
    if header and len(rows) > MAX_PLAIN_ROWS:
        return "\n".join(name_values(rows[0], rows[1:]))
    return "\n".join(format_row(row) for row in rows if any(map(str.strip, row)))


def name_values(names: Row, rows: Iterable[Row]) -> Iterator[str]:
    """Yields lines like `Name: Ada; Born: 1815`. Empty cells are left out; without a column name a cell is its value alone."""
    names = [collapse_spaces(name) for name in names]
    for row in rows:
        cells = (_named_cell(names[index] if index < len(names) else "", collapse_spaces(value)) for index, value in enumerate(row))
        text = "; ".join(filter(None, cells))
        if text:
            yield text


def format_row(row: Row) -> str:
    return f"| {' | '.join(map(collapse_spaces, row))} |"


def has_header(rows: Sequence[Row]) -> bool:
    """Whether the first row names the columns: words only, all different, as many as the rows below have cells."""
    if len(rows) < 2 or len(rows[0]) < 2:
        return False
    names = [collapse_spaces(name) for name in rows[0]]
    width = max(sum(map(bool, map(str.strip, row))) for row in rows[1:])
    filled = [name for name in names if name]
    words = all(any(map(str.isalpha, name)) and len(name) <= 80 for name in filled)
    return words and len(set(filled)) == len(filled) and len(filled) >= max(2, width - 1)


def collapse_spaces(cell: str) -> str:
    return " ".join(cell.split())


def _named_cell(name: str, value: str) -> str:
    return f"{name}: {value}" if name and value else value
