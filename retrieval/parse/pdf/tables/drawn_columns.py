"""Tables whose columns were drawn one after the other: their rows have to be found."""

from collections.abc import Sequence
from statistics import fmean

from retrieval.parse.pdf.page.lines import Line

MIN_ROWS, MIN_COLUMNS = 3, 2
MAX_CELL = 25  # characters of a cell, on average
MIN_NUMBERS = 0.5  # of the cells of a column: two columns without numbers are two lists
MIN_LEVEL = 0.8  # of a column's cells stand at the height of one in the longest column


def by_rows(lines: Sequence[Line]) -> list[Line]:
    """The lines, with those of such tables in the order of their rows."""
    made: list[Line] = []
    columns: list[list[Line]] = []
    for column in _columns(lines):
        if columns and not _is_beside(columns[-1], column):
            made += _ordered(columns)
            columns = []
        columns.append(column)
    return [*made, *_ordered(columns)]


def _columns(lines: Sequence[Line]) -> list[list[Line]]:
    """Runs of lines that go downwards, one below the other."""
    found: list[list[Line]] = []
    for line in lines:
        last = found[-1][-1] if found else None
        if last and 0.5 * line.size < last.middle - line.middle < 4 * line.size and line.left < last.right and last.left < line.right:
            found[-1].append(line)
        else:
            found.append([line])
    return found


def _is_beside(one: Sequence[Line], other: Sequence[Line]) -> bool:
    """Whether the next column begins to the right, at the same height."""
    return (
        min(len(one), len(other)) >= MIN_ROWS
        and max(line.right for line in one) < min(line.left for line in other)
        and abs(one[0].middle - other[0].middle) < 0.4 * one[0].size
    )


def _ordered(columns: Sequence[Sequence[Line]]) -> list[Line]:
    lines = [line for column in columns for line in column]
    if not _is_table(columns):
        return lines
    longest = max(columns, key=len)

    def place(line: Line) -> tuple[int, float]:
        return min(range(len(longest)), key=lambda at: abs(longest[at].middle - line.middle)), line.left

    return sorted(lines, key=place)


def _is_table(columns: Sequence[Sequence[Line]]) -> bool:
    if len(columns) < MIN_COLUMNS or any(line.sideways for column in columns for line in column):
        return False
    if fmean(len(line.text) for column in columns for line in column) > MAX_CELL:
        return False
    if not any(fmean(any(map(str.isdigit, line.text)) for line in column) >= MIN_NUMBERS for column in columns[1:]):
        return False
    heights = [line.middle for line in max(columns, key=len)]
    return all(
        fmean(any(abs(line.middle - height) < 0.3 * line.size for height in heights) for line in column) >= MIN_LEVEL for column in columns
    )
