"""The formats of a workbook's cells."""

import datetime
from dataclasses import dataclass
from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format, is_timedelta_format
from openpyxl.utils.datetime import from_excel

from retrieval.parse.office.workbook import number_format, values

FIRST_CUSTOM_FORMAT = 164  # number formats below are built in


@dataclass(frozen=True, slots=True)
class Style:
    """`code`: the number format, "" if it adds nothing; `place`: vertical alignment; `struck`: struck out."""

    code: str = ""
    place: str | None = None
    struck: bool = False

    def text(self, value: object) -> str:
        content = values.text(value, self.code)
        return values.formatted(content, self.place, self.struck) if content and (self.place or self.struck) else content


class CellStyles:
    """Number formats and fonts of one workbook of openpyxl, by the style index of a cell."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._known: dict[int, Style] = {}

    def text(self, value: object, style: int) -> str:
        if style not in self._known:
            self._known[style] = self._read(style)
        return self._known[style].text(value)

    def _read(self, style: int) -> Style:
        try:
            found = self._book._cell_styles[style]
            font = self._book._fonts[found.fontId]
        except IndexError:  # the workbook lacks this style
            return Style()
        return Style(meaningful(built_in(found.numFmtId) or self._own(found.numFmtId)), font.vertAlign, bool(font.strike))

    def _own(self, identifier: int) -> str:
        own, formats = identifier - FIRST_CUSTOM_FORMAT, self._book._number_formats
        return formats[own] if 0 <= own < len(formats) else "General"


def built_in(identifier: int) -> str:
    """The number format of this identifier where no file needs to define it, else ""."""
    return BUILTIN_FORMATS.get(identifier, "") if identifier < FIRST_CUSTOM_FORMAT else ""


def meaningful(code: str) -> str:
    """The number format, "" if it adds nothing to a number."""
    return code if number_format.has_meaning(code) else ""


def dated(number: float, code: str, epoch: datetime.datetime) -> object:
    """The date, time or duration that a number of this format is, else the number. `epoch`: of the workbook."""
    if not is_date_format(code):
        return number
    try:
        return from_excel(number, epoch, timedelta=is_timedelta_format(code))
    except (OverflowError, ValueError):  # before the first day, or after the last
        return number
