"""Tells from its first rows what a table is: rows under column names, labels beside values, or rows without either."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

Row = Sequence[str]
SAMPLE_ROWS = 41  # rows that decide; a form is shorter than that
MAX_NAME = 80  # characters of a column name
MAX_DEPTH = 3  # rows of column names
MIN_DATES = 4  # below a name: two or three may be those of a form (Issued, Valid until)
MAX_LABEL = 60  # characters of a label
_NUMBER = re.compile(
    r"[(+\-−±<>≈~]*\s*(?:[A-Z]{3}\s)?[$€£¥]?\s*\d[\d\s.,'’%:/\-]*(?:[eE][+-]?\d+)?\s*(?:[^\W\d]{1,3}\.?|[$€£¥%‰°)])?\s*\)?"
)
_YEAR = re.compile(r"(?:FY\s*)?(?:19|20|21)\d\d(?:\s*[-/]\s*\d{2,4})?")
_DATE = re.compile(r"\d{4}-\d\d(?:-\d\d)?(?: [\d:]+)?|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}[./]\d{4}")


@dataclass(frozen=True, slots=True)
class Named:
    """`depth` rows hold the column names."""

    depth: int


@dataclass(frozen=True, slots=True)
class Form:
    """Labels and values take turns in each row."""


@dataclass(frozen=True, slots=True)
class Plain:
    """Neither, or nothing to tell it by."""


Layout = Named | Form | Plain


def detect(rows: Sequence[Row]) -> Layout:
    """`rows`: the first SAMPLE_ROWS of the table, without titles above it. A one-cell row in between is a title of a part."""
    whole = [row for row in rows if len(row) > 1 or max(map(len, rows), default=0) < 2]
    width = max((_filled_width(row) for row in whole), default=0)
    if len(whole) < 2 or width < 2:
        return Form() if whole and _has_colons(whole, width) else Plain()
    if _has_colons(whole, width):
        return Form()
    if width == 2 and len(rows) < SAMPLE_ROWS and _has_labels(whole):
        return _labels_or_names(whole)
    return _side_by_side(whole) or (Named(depth) if (depth := _depth(whole)) else Plain())


def _side_by_side(rows: Sequence[Row]) -> Layout | None:
    """Two columns, an empty one, and two more: two forms where either is one. None: anything else."""
    if len(rows) >= SAMPLE_ROWS or max(map(_filled_width, rows)) != 5 or any(len(row) > 2 and row[2].strip() for row in rows):
        return None
    halves = [[row[at : at + 2] for row in rows if any(map(str.strip, row[at : at + 2]))] for at in (0, 3)]
    layouts = [_labels_or_names(half) for half in halves if half and _has_labels(half)]
    return next((layout for layout in layouts if not isinstance(layout, Named)), None)


def join_names(rows: Sequence[Row]) -> list[str]:
    """The names of the columns from one or more rows: `2025 Sold` below a merged `2025`. Gaps of all but the last row continue the name
    before them, as where text is centred across cells without merging them."""
    width = max(map(len, rows))
    full = [_continued(row, width) if above else [*row, *[""] * (width - len(row))] for above, row in _with_position(rows)]
    return [" ".join(dict.fromkeys(filter(None, (" ".join(row[column].split()) for row in full)))) for column in range(width)]


def _with_position(rows: Sequence[Row]) -> Iterator[tuple[bool, Row]]:
    return ((at < len(rows) - 1, row) for at, row in enumerate(rows))


def _continued(row: Row, width: int) -> list[str]:
    result = list[str]()
    for at in range(width):
        text = row[at] if at < len(row) else ""
        result.append(text if text.strip() or not result else result[-1])
    return result


def _filled_width(row: Row) -> int:
    return max((at for at, cell in enumerate(row, 1) if cell.strip()), default=0)


def _has_colons(rows: Sequence[Row], width: int) -> bool:
    """Whether most labels end in a colon: the first cell of each row, or every other one."""
    if width not in (2, 4, 6):
        return False
    labels = [row[at].strip() for row in rows for at in range(0, min(width, len(row)), 2) if row[at].strip()]
    values = [row[at].strip() for row in rows for at in range(1, min(width, len(row)), 2) if row[at].strip()]
    ended = sum(label.endswith((":", "：")) for label in labels)
    return ended * 2 > len(labels) and not any(value.endswith((":", "：")) for value in values)


def _has_labels(rows: Sequence[Row]) -> bool:
    labels = [row[0].strip() for row in rows]
    words = all(label and len(label) <= MAX_LABEL and any(map(str.isalpha, label)) for label in labels)
    return words and len(set(labels)) == len(labels) and not _all_alike(labels)


def _all_alike(labels: Sequence[str]) -> bool:
    """Whether they are codes of one pattern (A-1, A-2), as an index column holds."""
    below = labels[1:]
    return len(below) > 1 and any(map(str.isdigit, below[0])) and len(set(map(_shape, below))) == 1


def _labels_or_names(rows: Sequence[Row]) -> Layout:
    """Two columns, the first of which could be labels. A wrong name falsifies each row, so in doubt nothing is bound."""
    first, below = _value(rows[0]), [value for row in rows[1:] if (value := _value(row))]
    if not first or not any(map(str.isalpha, first)) or _kind(first) != "words":
        return Form()
    kinds = set(map(_kind, below))
    if len(below) > 1 and (kinds == {"number"} or (kinds == {"date"} and len(below) >= MIN_DATES)):
        return Named(1)
    return Form() if len(kinds) > 1 else Plain()


def _value(row: Row) -> str:
    return row[1].strip() if len(row) > 1 else ""


def _kind(text: str) -> str:
    if _DATE.fullmatch(text):
        return "date"
    if _NUMBER.fullmatch(text):
        return "number"
    return "code" if any(map(str.isdigit, text)) else "words"


def _depth(rows: Sequence[Row]) -> int:
    """Number of rows that name the columns: below names that span several columns there are more."""
    spanning = next((at for at, row in enumerate(rows) if not _spans(row)), len(rows))
    for depth in range(min(spanning, MAX_DEPTH - 1, len(rows) - 2) + 1, 0, -1):
        names, below = join_names(rows[:depth]), rows[depth:]
        if depth > 1 and not _fills_gaps(rows[:depth]):
            continue
        if _are_names(names, rows[depth - 1], below) and (depth == 1 or _has_numbers(below)):
            return depth
    return 0


def _fills_gaps(rows: Sequence[Row]) -> bool:
    """Whether the last row has a name wherever one above it has a gap."""
    gaps = {at for row in rows[:-1] for at, cell in enumerate(row) if at and not cell.strip()}
    return all(at < len(rows[-1]) and rows[-1][at].strip() for at in gaps if at < max(map(_filled_width, rows)))


def _spans(row: Row) -> bool:
    """Whether one name stands above several columns: repeated by a merged cell, or followed by a gap."""
    filled = [cell.strip() for cell in row]
    repeated = any(left and left == right for left, right in pairwise(filled))
    return (
        any(filled) and (repeated or "" in filled[1:]) and not any(_kind(cell) == "number" and not _YEAR.fullmatch(cell) for cell in filled)
    )


def _are_names(names: Row, last: Row, below: Sequence[Row]) -> bool:
    names = [name.strip() for name in names]
    filled = [name for name in names if name]
    width = max(sum(map(bool, map(str.strip, row))) for row in below)
    if len(filled) < max(2, width - 1) or any(len(name) > MAX_NAME for name in filled) or _continues(last, below):
        return False
    worded = all(any(map(str.isalpha, name)) for name in last if name.strip())
    if not worded and not _counts(last, below):
        return False
    return len(set(filled)) == len(filled) or (worded and _has_numbers(below))


def _counts(names: Row, below: Sequence[Row]) -> bool:
    """Whether the names without letters are years, dates or 1, 2, 3. Years alone must run on, and stand above other numbers."""
    bare = [name.strip() for name in names if name.strip() and not any(map(str.isalpha, name))]
    if len(bare) == len(names):  # nothing names the rows
        years = all(map(_YEAR.fullmatch, bare)) and bare == sorted(set(bare)) and len(bare) > 1
        return years and not any(_YEAR.fullmatch(cell.strip()) for row in below for cell in row)
    if all(map(_YEAR.fullmatch, bare)) or all(map(_DATE.fullmatch, bare)):
        return True
    return len(bare) > 2 and all(map(str.isdecimal, bare)) and all(int(right) - int(left) == 1 for left, right in pairwise(bare))


def _continues(names: Row, below: Sequence[Row]) -> bool:
    """Whether the row is like those below it: it holds a value that returns in its column, or a code of the column's pattern."""
    rest = [row for row in below if [cell.strip() for cell in row] != [cell.strip() for cell in names]]  # a header may be repeated
    for column, name in enumerate(names):
        name, values = name.strip(), [row[column].strip() for row in rest if column < len(row) and row[column].strip()]
        if not any(map(str.isalpha, name)):
            continue
        coded = any(map(str.isdigit, name)) and not _YEAR.fullmatch(name) and len(values) > 1
        if name in values or (coded and {*map(_shape, values)} == {_shape(name)}):
            return True
    return False


def _shape(text: str) -> str:
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text))


def _has_numbers(rows: Sequence[Row]) -> bool:
    return any(_kind(cell.strip()) in ("number", "date") for row in rows for cell in row if cell.strip())
