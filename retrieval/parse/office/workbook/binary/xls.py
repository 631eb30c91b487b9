"""Excel's binary workbooks up to 2003 (.xls), by xlrd: values with their number formats, merged cells, comments, links."""

import datetime
import io
from collections import defaultdict
from collections.abc import Iterator
from typing import IO, Any

import xlrd
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.common.links import with_target
from retrieval.parse.office.workbook import attachments
from retrieval.parse.office.workbook.binary.sheet import Row, Sheet
from retrieval.parse.office.workbook.merged import Range
from retrieval.parse.office.workbook.styles import Style, dated, meaningful

Page = Any  # a sheet of xlrd
SUPERSCRIPT, SUBSCRIPT = 1, 2  # of a font: its escapement


def sheets(source: IO[bytes], builder: DocumentBuilder) -> list[Sheet]:
    """Raises one of many errors for a damaged file."""
    book: Any = xlrd.open_workbook(file_contents=source.read(), formatting_info=True, ragged_rows=True, logfile=io.StringIO())
    reader = _Reader(book)
    return [reader.sheet(page) for page in book.sheets()]


class _Reader:
    """Reads the sheets of one workbook."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._epoch = CALENDAR_MAC_1904 if book.datemode else CALENDAR_WINDOWS_1900
        self._styles = dict[int, tuple[str, Style]]()

    def sheet(self, page: Page) -> Sheet:
        merged = defaultdict[int, list[Range]](list)
        for top, bottom, left, right in page.merged_cells:  # ends are excluded
            merged[top + 1].append(Range(left + 1, top + 1, min(right, MAX_COLUMNS), bottom))
        hidden = any(one.hidden for one in (*page.rowinfo_map.values(), *page.colinfo_map.values()))
        return Sheet(page.name, list(self._rows(page)), merged, list(_comments(page)), bool(page.visibility), hidden)

    def _rows(self, page: Page) -> Iterator[Row]:
        for row in range(page.nrows):
            texts = dict[int, str]()
            for column in range(min(page.row_len(row), MAX_COLUMNS)):
                if text := self._text(page, row, column):
                    texts[column + 1] = text
            if texts:
                yield row + 1, texts

    def _text(self, page: Page, row: int, column: int) -> str:
        value, kind = page.cell_value(row, column), page.cell_type(row, column)
        code, style = self._style(page.cell_xf_index(row, column))
        text = style.text(_value(value, kind, code, self._epoch))
        link = page.hyperlink_map.get((row, column)) if text else None
        return with_target(text, link.url_or_path or "") if link is not None and link.type == "url" else text

    def _style(self, index: int) -> tuple[str, Style]:
        """The number format, and the style."""
        if index not in self._styles:
            self._styles[index] = self._read_style(index) if index < len(self._book.xf_list) else ("", Style())
        return self._styles[index]

    def _read_style(self, index: int) -> tuple[str, Style]:
        found = self._book.xf_list[index]
        known = self._book.format_map.get(found.format_key)
        code, font = known.format_str if known else "", self._book.font_list[found.font_index]
        place = {SUPERSCRIPT: "superscript", SUBSCRIPT: "subscript"}.get(font.escapement)
        return code, Style(meaningful(code), place, bool(font.struck_out))


def _value(value: Any, kind: int, code: str, epoch: datetime.datetime) -> object:
    match kind:
        case xlrd.XL_CELL_NUMBER | xlrd.XL_CELL_DATE:
            return dated(value, code, epoch)
        case xlrd.XL_CELL_BOOLEAN:
            return bool(value)
        case xlrd.XL_CELL_ERROR:
            return xlrd.error_text_from_code.get(value, "")
        case _:
            return value or None


def _comments(page: Page) -> Iterator[str]:
    for (row, column), note in sorted(page.cell_note_map.items()):
        yield attachments.comment_line(note.author or "", attachments.coordinate(row + 1, column + 1), note.text or "")
