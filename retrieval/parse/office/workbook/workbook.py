"""Excel (.xlsx): a sheet is a page, its name a heading; formulas give their last computed values. Rows are streamed."""

import datetime
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import IO, Any

import openpyxl
from openpyxl.worksheet._reader import WorkSheetParser

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office import package
from retrieval.parse.office.workbook.hidden_cells import HiddenCells
from retrieval.parse.plain import csv_tables

Sheet = Any  # a read-only worksheet of openpyxl
MAX_COLUMNS = 1_000
OFF = ("0", "false")
MIN_EXTENT = 0.5  # points of height, characters of width: less counts as hidden


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    book = openpyxl.load_workbook(package.normalise(source, builder.limits), read_only=True, data_only=True, keep_links=False)
    builder.set_title(book.properties.title)
    hidden = [sheet for sheet in book.worksheets if sheet.sheet_state != "visible"]
    if hidden:
        builder.add_note(f"{len(hidden)} hidden sheets were left out" if len(hidden) > 1 else "1 hidden sheet was left out")
    for number, sheet in enumerate(book.worksheets, 1):
        if sheet not in hidden:
            builder.page = number
            _sheet(sheet, builder)
    book.close()


def _sheet(sheet: Sheet, builder: DocumentBuilder) -> None:
    rows = VisibleRows(sheet)
    texts = iter(rows)
    first = next(texts, None)
    if first is not None:
        builder.add_heading(sheet.title, 1)
        csv_tables.write(chain([first], texts), builder)
    if rows.hidden or rows.columns:
        builder.add_note(f"hidden rows and columns of the sheet {sheet.title} were left out: unhide what is to be read")
    if rows.hidden_cells.found:
        builder.add_note(f"cells of the sheet {sheet.title} that nobody can see were left out")


class VisibleRows:
    """Iterates over the visible rows. The declared size of the sheet is ignored: openpyxl would pad rows up to it."""

    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self.hidden_cells = HiddenCells(sheet)
        self.hidden = False  # whether a hidden row was found so far
        self.columns: frozenset[int] = frozenset()  # hidden columns, from 1

    def __iter__(self) -> Iterator[list[str]]:
        with self._sheet._get_source() as source:
            parser, before = _parser(self._sheet, source), 0
            for number, cells in parser.parse():
                if not before:  # column definitions precede the rows
                    self.columns = _hidden_columns(parser)
                if number > before + 1:
                    yield []
                before = number
                if _hidden(parser.row_dimensions.pop(str(number), {}), "ht"):
                    self.hidden = True
                else:
                    yield self._cells(cells)

    def _cells(self, row: Sequence[Mapping[str, Any]]) -> list[str]:
        values = {cell["column"]: cell["value"] for cell in row if self._is_visible(cell)}
        return [_text(values.get(column)) for column in range(1, max(values, default=0) + 1) if column not in self.columns]

    def _is_visible(self, cell: Mapping[str, Any]) -> bool:
        column = cell["column"]
        return column <= MAX_COLUMNS and (column in self.columns or not self.hidden_cells.hides(cell["value"], cell["style_id"]))


def _parser(sheet: Sheet, source: IO[bytes]) -> WorkSheetParser:
    """As openpyxl constructs it for its own rows, which do not tell whether they are hidden."""
    book = sheet.parent
    return WorkSheetParser(
        source,
        sheet._shared_strings,
        data_only=True,
        epoch=book.epoch,
        date_formats=book._date_formats,
        timedelta_formats=book._timedelta_formats,
    )


def _hidden_columns(parser: WorkSheetParser) -> frozenset[int]:
    hidden = (column for column in parser.column_dimensions.values() if _hidden(column, "width"))
    spans = (range(int(column["min"]), min(int(column["max"]), MAX_COLUMNS) + 1) for column in hidden)
    return frozenset(number for span in spans for number in span)


def _hidden(dimension: Mapping[str, str], size: str) -> bool:
    """Whether a row or column is marked hidden, or too small to be seen."""
    return dimension.get("hidden", "0") not in OFF or float(dimension.get(size, MIN_EXTENT)) < MIN_EXTENT


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
