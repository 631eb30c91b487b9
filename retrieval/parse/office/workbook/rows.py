"""The rows of a sheet, streamed: merged cells in all their positions, without cells that are made invisible."""

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from openpyxl.worksheet._reader import FORMULA_TAG, VALUE_TAG, WorkSheetParser

from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.common.links import with_target
from retrieval.parse.office.workbook import values
from retrieval.parse.office.workbook.hidden_cells import HiddenCells
from retrieval.parse.office.workbook.markup import Markup
from retrieval.parse.office.workbook.merged import MergedCells
from retrieval.parse.office.workbook.styles import CellStyles

Sheet = Any  # a read-only worksheet of openpyxl
OFF = ("0", "false")
MIN_EXTENT = 0.5  # points of height, characters of width: less counts as hidden


class SheetRows:
    """Iterates over the rows. The declared size of the sheet is ignored: openpyxl would pad rows up to it."""

    def __init__(self, sheet: Sheet, markup: Markup, targets: Mapping[str, str]) -> None:
        self._sheet, self._markup, self._targets = sheet, markup, targets
        self._styles = CellStyles(sheet.parent)
        self._merged = MergedCells(markup.merged)
        self.hidden_cells = HiddenCells(sheet)
        self.hidden = False  # whether a hidden row or column was found so far
        self.formulas = 0  # without a stored value, so far

    def __iter__(self) -> Iterator[list[str]]:
        with self._sheet._get_source() as source:
            parser, before = self._parser(source), 0
            for number, cells in parser.parse():
                if not before:  # column definitions precede the rows
                    self.hidden = any(_is_hidden(column, "width") for column in parser.column_dimensions.values())
                if number > before + 1:
                    yield []
                before = number
                self.hidden |= _is_hidden(parser.row_dimensions.pop(str(number), {}), "ht")
                yield from self._row(number, cells)

    def _row(self, number: int, cells: Sequence[Mapping[str, Any]]) -> Iterator[list[str]]:
        own = {cell["column"]: self._text(cell) for cell in cells if self._is_visible(cell)}
        yield from self._merged.complete(number, own)

    def _text(self, cell: Mapping[str, Any]) -> str:
        text = self._styles.text(cell["value"], cell["style_id"])
        relation = self._markup.links.get((cell["row"], cell["column"]))
        return with_target(text, self._targets.get(relation, "")) if relation else text

    def _is_visible(self, cell: Mapping[str, Any]) -> bool:
        return cell["column"] <= MAX_COLUMNS and not self.hidden_cells.hides(cell["value"], cell["style_id"])

    def _parser(self, source: IO[bytes]) -> WorkSheetParser:
        """As openpyxl constructs it for its own rows, which tell neither whether they are hidden nor which cells lack values."""
        book = self._sheet.parent
        parser = WorkSheetParser(
            source,
            self._sheet._shared_strings,
            data_only=True,
            epoch=book.epoch,
            date_formats=book._date_formats,
            timedelta_formats=book._timedelta_formats,
            rich_text=True,
        )
        parser.parse_cell = lambda element: self._cell(parser, element)
        return parser

    def _cell(self, parser: WorkSheetParser, element: Any) -> dict[str, Any]:
        """The value of a formula is the stored one, else the formula itself."""
        cell = WorkSheetParser.parse_cell(parser, element)
        if element.get("t") == "inlineStr":  # shared strings are plain already
            cell["value"] = values.plain(cell["value"])
        formula = next(iter(element), None)  # it comes first
        if formula is None or formula.tag != FORMULA_TAG:
            return cell
        if cell["value"] is None and (element.get("t") != "str" or element.find(VALUE_TAG) is None):
            self.formulas += 1
            cell["value"] = _formula(parser.parse_formula(element))
        elif formula.get("t") == "shared" and formula.text:
            parser.parse_formula(element)  # others refer to it
        return cell


def _formula(value: Any) -> str:
    return str(getattr(value, "text", None) or (value if isinstance(value, str) else ""))


def _is_hidden(dimension: Mapping[str, str], size: str) -> bool:
    """Whether a row or column is marked hidden, or too small to be seen."""
    return dimension.get("hidden", "0") not in OFF or float(dimension.get(size, MIN_EXTENT)) < MIN_EXTENT
