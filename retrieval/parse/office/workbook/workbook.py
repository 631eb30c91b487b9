"""Excel (.xlsx): a sheet is a page, its name a heading; formulas give their last computed values. Rows are streamed."""

from itertools import chain
from typing import IO, Any

import openpyxl

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office import package, visibility
from retrieval.parse.office.workbook import attachments, markup, values
from retrieval.parse.office.workbook.binary import values_only
from retrieval.parse.office.workbook.rows import SheetRows
from retrieval.parse.plain import csv_tables

Sheet = Any  # a read-only worksheet of openpyxl


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    normal = package.normalise(source, builder.limits)
    try:
        book = openpyxl.load_workbook(normal, read_only=True, data_only=True, keep_links=False, rich_text=True)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError):  # styles that Excel forgives
        normal.seek(0)
        values_only.read(normal, builder)
        return
    builder.set_title(book.properties.title)
    sheets: list[Sheet] = list(book.worksheets)
    for strings in [sheet._shared_strings for sheet in sheets[:1]]:  # all sheets share them
        strings[:] = map(values.plain, strings)
    for number, sheet in enumerate(sheets, 1):
        builder.page = number
        _sheet(sheet, builder)
    visibility.note_hidden(builder, "sheet", sum(map(_is_hidden, sheets)))
    book.close()


def _is_hidden(sheet: Sheet) -> bool:
    return sheet.sheet_state != "visible"


def _sheet(sheet: Sheet, builder: DocumentBuilder) -> None:
    zipped, part = sheet.parent._archive, sheet._worksheet_path
    targets = {one.Id: one.target for one in attachments.relations(zipped, part) if one.TargetMode == "External"}
    with sheet._get_source() as xml:
        found = markup.read(xml)
    rows = SheetRows(sheet, found, targets)
    texts = iter(rows)
    first = next(texts, None)
    builder.set_headings(())
    if first is not None or attachments.relations(zipped, part):
        builder.add_heading(visibility.heading(sheet.title, "sheet", hidden=_is_hidden(sheet)), 1)
    csv_tables.write(chain([first or []], texts), builder)
    attachments.write(zipped, part, builder)
    for text in found.margins:
        builder.add_block("paragraph", text)
    _note(sheet, rows, builder)


def _note(sheet: Sheet, rows: SheetRows, builder: DocumentBuilder) -> None:
    if rows.hidden:
        visibility.note_hidden_rows(builder, sheet.title)
    if rows.hidden_cells.found:
        builder.add_note(f"cells of the sheet {sheet.title} that nobody can see were left out")
    if rows.formulas:
        count = "1 formula" if rows.formulas == 1 else f"{rows.formulas} formulas"
        builder.add_note(f"{count} of the sheet {sheet.title} without a stored value: open and save the file in a spreadsheet program")
