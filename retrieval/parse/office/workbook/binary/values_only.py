"""Workbooks that are damaged, or whose styles are, and very large ones: values without their number formats."""

from collections import defaultdict
from collections.abc import Iterator
from typing import IO

from python_calamine import CalamineSheet, PasswordError, SheetVisibleEnum, load_workbook

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.limits import ParseError
from retrieval.parse.office import visibility
from retrieval.parse.office.workbook import values
from retrieval.parse.office.workbook.binary.sheet import Row, Sheet
from retrieval.parse.office.workbook.merged import Range


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    try:
        book = load_workbook(source)
    except PasswordError as error:
        raise ParseError("the file is protected with a password: save it without one") from error
    sheets = [_sheet(book.get_sheet_by_name(about.name), about.visible != SheetVisibleEnum.Visible) for about in book.sheets_metadata]
    for number, sheet in enumerate(sheets, 1):
        sheet.write(number, builder)
    builder.add_note("percent and currency signs of numbers were not read: save the file as .xlsx by a spreadsheet program to keep them")
    visibility.note_hidden(builder, "sheet", sum(sheet.hidden for sheet in sheets))


def _sheet(sheet: CalamineSheet, hidden: bool) -> Sheet:
    ranges = defaultdict[int, list[Range]](list)
    for (first_row, first_column), (last_row, last_column) in sheet.merged_cell_ranges or ():
        ranges[first_row + 1].append(Range(first_column + 1, first_row + 1, min(last_column + 1, MAX_COLUMNS), last_row + 1))
    return Sheet(sheet.name, _rows(sheet), ranges, hidden=hidden)


def _rows(sheet: CalamineSheet) -> Iterator[Row]:
    top, left = sheet.start or (0, 0)
    for number, row in enumerate(sheet.iter_rows(), top + 1):
        if own := {column: text for column, value in enumerate(row[:MAX_COLUMNS], left + 1) if (text := values.text(value))}:
            yield number, own
