"""Puts the values of form fields beside their labels. PDF does not bind the two: what a person reads as the label is text nearby."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.parse.pdf.annotations.annotations import Control, Field
from retrieval.parse.pdf.page.lines import Line, Word, line_of, pieces

ON, OFF = "[x]", "[ ]"
YES, NO = "Yes", "No"
MAX_DISTANCE = 300.0  # points between a field and the label to its left
MAX_HEIGHT_ABOVE = 1.6  # of the label's line height, between a field and a label above it
FIRST_LINE = 14.0  # points from the top of a tall field to its first line


@dataclass(frozen=True, slots=True)
class _Labelled:
    label: int  # index of the line
    field: Field
    before: bool  # the mark goes before the label: `[x] I agree`


def with_fields(lines: Sequence[Line], fields: Sequence[Field]) -> list[Line]:
    """`fields` in the coordinates of the lines. Empty text fields add nothing."""
    if not fields:
        return list(lines)
    made = _split(lines, fields)
    labels = [_labelled(made, field, fields) for field in fields]
    for found in labels:
        if found:
            made[found.label] = _filled(made[found.label], found)
    for field, found in zip(fields, labels, strict=True):
        if not found and field.value:
            _insert(made, _alone(field, _in_grid(field, fields)))
    return made


def _split(lines: Sequence[Line], fields: Sequence[Field]) -> list[Line]:
    """Lines that stand in a row with fields, in pieces: each may be a label."""
    made: list[Line] = []
    for line in lines:
        beside = not line.sideways and any(_in_row(line, field) for field in fields)
        made += _between(line, fields) if beside else [line]
    return made


def _between(line: Line, fields: Sequence[Field]) -> list[Line]:
    """Cuts at gaps and where a field stands."""
    cuts = sorted(field.box[0] for field in fields if _in_row(line, field))
    made: list[Line] = []
    for piece in pieces(line):
        groups: dict[int, list[Word]] = {}
        for word in piece.words:
            groups.setdefault(sum(1 for cut in cuts if cut < (word.left + word.right) / 2), []).append(word)
        made += [line_of(words, line.top, line.bottom, line.size) for words in groups.values()]
    return made


def _in_row(line: Line, field: Field) -> bool:
    _, bottom, _, top = field.box
    middle = max(top - FIRST_LINE, bottom) if top - bottom > 2 * FIRST_LINE else bottom
    return line.top > middle + 1 and line.bottom < top - 1


def _labelled(lines: Sequence[Line], field: Field, fields: Sequence[Field]) -> _Labelled | None:
    left, right = _beside(lines, field, fields, before=True), _beside(lines, field, fields, before=False)
    if field.control is Control.SWITCH:
        return _of_switch(lines, field, left, right)
    if left is not None:
        return _Labelled(left, field, before=False)
    above = None if _in_grid(field, fields) else _above(lines, field, fields)
    return _Labelled(above, field, before=False) if above is not None else None


def _of_switch(lines: Sequence[Line], field: Field, left: int | None, right: int | None) -> _Labelled | None:
    """The nearer label: `[x] I agree`, or `Injured: Yes`."""
    to_right = lines[right].left - field.box[2] if right is not None else MAX_DISTANCE
    to_left = field.box[0] - lines[left].right if left is not None else MAX_DISTANCE
    if right is not None and to_right <= to_left:
        return _Labelled(right, field, before=True)
    return _Labelled(left, field, before=False) if left is not None else None


def _beside(lines: Sequence[Line], field: Field, fields: Sequence[Field], *, before: bool) -> int | None:
    """Index of the nearest line in the field's row, with no other field between."""
    left, _, right, _ = field.box
    found: list[tuple[float, int]] = []
    for at, line in enumerate(lines):
        distance = left - line.right if before else line.left - right
        if -3 <= distance < MAX_DISTANCE and not line.sideways and _in_row(line, field):
            found.append((distance, at))
    distance, at = min(found, default=(MAX_DISTANCE, -1))
    others = (
        left - other.box[2] if before else other.box[0] - right
        for other in fields
        if other is not field and at >= 0 and _in_row(lines[at], other)
    )
    return at if at >= 0 and not any(-3 <= gap < distance for gap in others) else None


def _above(lines: Sequence[Line], field: Field, fields: Sequence[Field]) -> int | None:
    left, _, right, top = field.box
    found = [
        (line.bottom - top, at)
        for at, line in enumerate(lines)
        if -3 <= line.bottom - top < MAX_HEIGHT_ABOVE * line.size and line.left < right and line.right > left - 3
    ]
    distance, at = min(found, default=(0.0, -1))
    taken = any(top - 3 <= other.box[1] < top + distance and other.box[0] < right and other.box[2] > left for other in fields)
    return at if at >= 0 and not taken else None


def _in_grid(field: Field, fields: Iterable[Field]) -> bool:
    """Whether fields stand in rows and columns, as the cells of a table."""
    left, bottom, right, top = field.box
    height = top - bottom
    row = column = False
    for other in fields:
        if other is not field:
            row |= abs(other.box[1] - bottom) < 3
            near = 0 < abs(other.box[1] - bottom) < 2.5 * height
            column |= near and abs(other.box[0] - left) < 3 and abs(other.box[2] - right) < 3
    return row and column


def _filled(line: Line, found: _Labelled) -> Line:
    field = found.field
    if found.before:
        return line_of([Word(ON if field.value else OFF, field.box[0], line.left), *line.words], line.top, line.bottom, line.size)
    if field.control is Control.SWITCH:
        value = (YES if field.value.casefold() in ("on", "1", "x", "true") or field.value.isdecimal() else field.value) or NO
    else:
        value = field.value
    if not value:
        return line
    last = line.words[-1]
    label = last if last.text.endswith((":", "?", "=")) else last._replace(text=f"{last.text}:")
    return line_of([*line.words[:-1], label, Word(value, last.right, last.right)], line.top, line.bottom, line.size)


def _alone(field: Field, in_grid: bool) -> Line:
    """A line for a field without a label on the page."""
    left, bottom, right, top = field.box
    height = min(top - bottom, FIRST_LINE)
    if field.control is Control.SWITCH:
        text = ON if in_grid else f"{field.name}: {YES}"
    else:
        text = field.value if in_grid or not field.name else f"{field.name}: {field.value}"
    return line_of([Word(text, left, right)], top, top - height, height)


def _insert(lines: list[Line], new: Line) -> None:
    """In its row, else before the first line below it."""
    for at, line in enumerate(lines):
        if line.sideways:
            continue
        if abs(line.middle - new.middle) < 0.5 * max(line.size, new.size):
            lines[at] = line_of(sorted((*line.words, *new.words), key=lambda word: word.left), line.top, line.bottom, line.size)
            return
        if line.middle < new.middle:
            lines.insert(at, new)
            return
    lines.append(new)
