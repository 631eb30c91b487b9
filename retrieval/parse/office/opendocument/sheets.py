"""Sheets of OpenDocument spreadsheets: a sheet is a page, its name a heading."""

import re
from collections.abc import Iterator

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import MAX_COLUMNS, Continued, RepeatedText
from retrieval.parse.office import visibility
from retrieval.parse.office.opendocument.blocks import Writer, table_rows
from retrieval.parse.office.opendocument.names import Element, count, q
from retrieval.parse.office.opendocument.text import FRAMES, PARAGRAPH, TextReader
from retrieval.parse.office.workbook.number_format import number
from retrieval.parse.plain import csv_tables

CELLS = (q("table:table-cell"), q("table:covered-table-cell"))
HIDDEN = ("collapse", "filter")  # values of table:visibility
MAX_ROWS_REPEATED = 10_000
_BARE_NUMBER = re.compile(r"[-(]?(?!0\d)[\d.,'’\s]+\)?")  # without unit, percent, or zeros in front


def write(body: Element, builder: DocumentBuilder, text: TextReader, blocks: Writer) -> None:
    hidden = 0
    for page, table in enumerate(body.iterchildren(q("table:table")), 1):
        shown = text.styles.value("table", table.get(q("table:style-name"), ""), "style:table-properties", "table:display") != "false"
        hidden += not shown
        builder.page = page
        builder.set_headings(())
        _write(table, Sheet(table, text), shown, builder, blocks)
    visibility.note_hidden(builder, "sheet", hidden)


def _write(table: Element, sheet: "Sheet", shown: bool, builder: DocumentBuilder, blocks: Writer) -> None:
    name, rows = table.get(q("table:name"), ""), list(sheet.rows())
    if any(map(any, rows)) or next(table.iter(*FRAMES), None) is not None:
        builder.add_heading(visibility.heading(name, "sheet", hidden=not shown), 1)
    csv_tables.write(rows, builder)
    for frame in table.iter(*FRAMES):
        if next(frame.iterancestors(*FRAMES), None) is None:
            blocks.frame(frame)
    if sheet.hidden:
        visibility.note_hidden_rows(builder, name)


class Sheet:
    """`hidden`: whether a hidden row or column was found."""

    def __init__(self, table: Element, text: TextReader) -> None:
        self._table, self._text = table, text
        self._repeated = RepeatedText()
        self._open: dict[int, tuple[int, str]] = {}  # merged cells by column: rows below, and the text
        self.hidden = any(_is_hidden(column) for column in table.iter(q("table:table-column")))

    def rows(self) -> Iterator[list[str]]:
        """An empty row stands for any number of them."""
        for row, _ in table_rows(self._table):
            repeated = min(count(row, "table:number-rows-repeated"), MAX_ROWS_REPEATED)
            self.hidden |= _is_hidden(row)
            cells = list(self._cells(row))
            own, texts = any(text for text, covered in cells if not covered), [text for text, _ in cells]
            whole = own and len([text for text in texts if text]) > 1 and all(isinstance(one, Continued) for one in texts[1:] if one)
            for _ in range(repeated if own else 1):
                if own or not any(texts):
                    yield texts[:1] if whole and texts[0] else _trimmed(texts)

    def _cells(self, row: Element) -> Iterator[tuple[str, bool]]:
        """Texts, and whether they belong to a cell that begins elsewhere."""
        column, left = 0, ""
        for cell in row.iterchildren(*CELLS):
            content = self._content(cell)
            for _ in range(min(count(cell, "table:number-columns-repeated"), MAX_COLUMNS - column)):
                if cell.tag == CELLS[0]:
                    self._span(cell, column, content)
                    left = content if count(cell, "table:number-columns-spanned") > 1 else ""
                    yield content, False
                else:
                    yield self._covered(column, left), True
                column += 1

    def _span(self, cell: Element, column: int, content: str) -> None:
        self._open.pop(column, None)
        below = count(cell, "table:number-rows-spanned") - 1
        for covered in range(column, column + count(cell, "table:number-columns-spanned")) if below and content else ():
            self._open[covered] = (below, content)

    def _covered(self, column: int, left: str) -> str:
        if left:
            return Continued(self._repeated.repeat(left))
        rows, content = self._open.get(column, (0, ""))
        if not rows:
            return ""
        self._open[column] = (rows - 1, content)
        continued = self._open.get(column - 1, (0, ""))[1] == content
        return Continued(self._repeated.repeat(content)) if continued else self._repeated.repeat(content)

    def _content(self, cell: Element) -> str:
        shown = tables.collapse_spaces(" ".join(self._text.text(one) for one in cell.iterchildren(PARAGRAPH)))
        for annotation in cell.iterchildren(q("office:annotation")):
            self._text.comment(annotation)
        return _exact(cell, shown)


def _exact(cell: Element, shown: str) -> str:
    """The value where the sheet shows nothing but a rounded number, or a date in some order; else what it shows."""
    value = cell.get(q("office:value"), "")
    match cell.get(q("office:value-type")):
        case "float" if _BARE_NUMBER.fullmatch(shown) and re.fullmatch(r"-?[\d.]+(?:[Ee][+-]?\d+)?", value):
            return number(float(value) if re.search("[.eE]", value) else int(value))
        case "date":
            return cell.get(q("office:date-value"), shown).replace("T", " ").removesuffix(" 00:00:00")
        case "boolean" if not shown:
            return "yes" if cell.get(q("office:boolean-value")) == "true" else "no"
        case _:
            return shown


def _is_hidden(row_or_column: Element) -> bool:
    return row_or_column.get(q("table:visibility")) in HIDDEN


def _trimmed(row: list[str]) -> list[str]:
    while row and not row[-1]:
        row.pop()
    return row
