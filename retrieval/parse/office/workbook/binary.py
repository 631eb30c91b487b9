"""Excel's binary formats (.xls, .xlsb), and workbooks whose styles are damaged: values without their number formats. A sheet is a page,
its name a heading."""

from collections import defaultdict
from collections.abc import Iterator
from typing import IO

from python_calamine import CalamineSheet, PasswordError, SheetVisibleEnum, load_workbook

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.limits import ParseError
from retrieval.parse.office.workbook import values
from retrieval.parse.office.workbook.merged import MergedCells, Range
from retrieval.parse.plain import csv_tables


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    try:
        book = load_workbook(source)
    except PasswordError as error:
        raise ParseError("the file is protected with a password: save it without one") from error
    hidden = 0
    for number, about in enumerate(book.sheets_metadata, 1):
        if about.visible != SheetVisibleEnum.Visible:
            hidden += 1
            continue
        sheet = book.get_sheet_by_name(about.name)
        builder.page = number
        builder.set_headings(())
        if sheet.height:
            builder.add_heading(about.name, 1)
            csv_tables.write(_rows(sheet), builder)
    builder.add_note("percent and currency signs of numbers were not read: save the file as .xlsx by a spreadsheet program to keep them")
    if hidden:
        builder.add_note(f"{hidden} hidden sheets were left out" if hidden > 1 else "1 hidden sheet was left out")


def _rows(sheet: CalamineSheet) -> Iterator[list[str]]:
    top, left = sheet.start or (0, 0)
    ranges = defaultdict[int, list[Range]](list)
    for (first_row, first_column), (last_row, last_column) in sheet.merged_cell_ranges or ():
        ranges[first_row + 1].append(Range(first_column + 1, first_row + 1, min(last_column + 1, MAX_COLUMNS), last_row + 1))
    merged = MergedCells(ranges)
    for number, row in enumerate(sheet.iter_rows(), top + 1):
        own = {column: text for column, value in enumerate(row[:MAX_COLUMNS], left + 1) if (text := values.text(value))}
        yield from merged.complete(number, own)
