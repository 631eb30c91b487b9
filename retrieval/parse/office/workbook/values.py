"""Values of cells as text."""

import datetime
from collections.abc import Iterable
from typing import Any

from openpyxl.cell.rich_text import CellRichText, TextBlock

from retrieval.parse.common import typography
from retrieval.parse.office.workbook import number_format


def text(value: object, code: str = "") -> str:
    """`code`: the number format of the cell, "" if it adds nothing."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return (number_format.shown(value, code) if code else None) or number_format.number(value)
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(" ", "seconds")
        case datetime.timedelta():
            return _duration(value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)


def _duration(value: datetime.timedelta) -> str:
    """Hours may exceed a day: 27:15:00."""
    seconds = round(abs(value).total_seconds())
    sign = "-" if value < datetime.timedelta() else ""
    return f"{sign}{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def plain(value: Any) -> Any:
    """Rich text as plain text in which raised and struck characters are marked; any other value as it is."""
    return "".join(_parts(value)) if isinstance(value, CellRichText) else value


def _parts(rich: CellRichText) -> Iterable[str]:
    return (formatted(part.text, part.font.vertAlign, bool(part.font.strike)) if isinstance(part, TextBlock) else part for part in rich)


def formatted(content: str, place: str | None, struck: bool) -> str:
    content = {"superscript": typography.superscript, "subscript": typography.subscript}.get(place or "", str)(content)
    return typography.struck(content) if struck else content
