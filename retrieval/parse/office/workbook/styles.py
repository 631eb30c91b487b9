"""The formats of a workbook's cells."""

from typing import Any

from openpyxl.styles.numbers import BUILTIN_FORMATS

from retrieval.parse.office.workbook import number_format, values

FIRST_CUSTOM_FORMAT = 164  # number formats below are built in


class CellStyles:
    """Number formats and fonts of one workbook of openpyxl, by the style index of a cell."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._known: dict[int, tuple[str, str | None, bool]] = {}

    def text(self, value: object, style: int) -> str:
        code, place, struck = self._of(style)
        content = values.text(value, code)
        return values.formatted(content, place, struck) if content and (place or struck) else content

    def _of(self, style: int) -> tuple[str, str | None, bool]:
        """Number format, "" if it adds nothing; vertical alignment; whether it is struck."""
        if style not in self._known:
            try:
                found = self._book._cell_styles[style]
                font = self._book._fonts[found.fontId]
                code = self._code(found.numFmtId)
                self._known[style] = code if number_format.has_meaning(code) else "", font.vertAlign, bool(font.strike)
            except IndexError:  # the workbook lacks this style
                self._known[style] = "", None, False
        return self._known[style]

    def _code(self, identifier: int) -> str:
        own = identifier - FIRST_CUSTOM_FORMAT
        formats = self._book._number_formats
        return formats[own] if 0 <= own < len(formats) else BUILTIN_FORMATS.get(identifier, "General")
