"""Excel (.xlsx): a sheet is a page, its name a heading; cells hold what was last computed. Rows are streamed."""

import datetime
from collections.abc import Iterator
from typing import IO

import openpyxl
from openpyxl.worksheet._read_only import ReadOnlyWorksheet

from retrieval.parse import archive, sheets
from retrieval.parse.draft import Draft

MOST_COLUMNS = 1_000


def read(source: IO[bytes], draft: Draft) -> None:
    with archive.open_archive(source, draft.limits) as zipped:
        archive.forbid_doctype(zipped)
    book = openpyxl.load_workbook(source, read_only=True, data_only=True, keep_links=False)
    draft.title(book.properties.title)
    hidden = [sheet for sheet in book.worksheets if sheet.sheet_state != "visible"]
    if hidden:
        draft.note(f"{len(hidden)} hidden sheets were left out" if len(hidden) > 1 else "1 hidden sheet was left out")
    for number, sheet in enumerate(book.worksheets, 1):
        if sheet not in hidden:
            draft.page = number
            _sheet(sheet, draft)
    book.close()


def _sheet(sheet: ReadOnlyWorksheet, draft: Draft) -> None:
    """The size that a sheet states is not believed: rows would be filled up to it."""
    sheet.reset_dimensions()
    rows = sheet.iter_rows(values_only=True)
    first = next(rows, None)
    if first is None:
        return
    draft.heading(sheet.title, 1)
    sheets.write(_texts(first, rows), draft)


def _texts(first: tuple[object, ...], rows: Iterator[tuple[object, ...]]) -> Iterator[list[str]]:
    yield _cells(first)
    yield from map(_cells, rows)


def _cells(row: tuple[object, ...]) -> list[str]:
    return [_text(value) for value in row[:MOST_COLUMNS]]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.12g}"
        case datetime.datetime() if value.time() == datetime.time():
            return value.date().isoformat()
        case datetime.datetime():
            return value.isoformat(" ", "seconds")
        case datetime.date() | datetime.time():
            return value.isoformat()
        case _:
            return str(value)
