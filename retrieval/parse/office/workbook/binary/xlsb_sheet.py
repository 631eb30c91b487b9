"""The cells of a sheet of a binary workbook of 2007. The numbers in the code are record types of [MS-XLSB] 2.3.2."""

import datetime
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.common.links import with_target
from retrieval.parse.office.workbook import values
from retrieval.parse.office.workbook.binary.records import ERRORS, Content, packed_number, records
from retrieval.parse.office.workbook.binary.sheet import Row
from retrieval.parse.office.workbook.merged import Range
from retrieval.parse.office.workbook.styles import dated, meaningful

ROW, COLUMN, MERGED, LINK = 0, 60, 176, 494
HIDDEN_ROW, HIDDEN_COLUMN = 0x10, 0x01
STYLE = 0xFFFFFF  # the lower three bytes


@dataclass(frozen=True, slots=True)
class Cells:
    """What the cells of all sheets refer to. `codes`: number formats by style."""

    strings: Sequence[str]
    codes: Sequence[str]
    epoch: datetime.datetime

    def text(self, kind: int, content: Content) -> str:
        """Of a cell's record, after its column. "" for any other record."""
        style = content.take("I") & STYLE
        code = self.codes[style] if style < len(self.codes) else ""
        match kind:
            case 2:
                return self._number(packed_number(content.take("I")), code)
            case 5 | 9:
                return self._number(content.real(), code)
            case 3 | 11:
                return ERRORS.get(content.take("B"), "")
            case 4 | 10:
                return values.text(bool(content.take("B")))
            case 6 | 8:
                return content.text()
            case 7:
                return self.strings[content.take("I")]
            case 62:
                return content.rich_text()
            case _:
                return ""

    def _number(self, number: float, code: str) -> str:
        return values.text(dated(number, code, self.epoch), meaningful(code))


class SheetPart:
    """`links`: targets by relation. `hides`: whether rows or columns are hidden."""

    def __init__(self, part: bytes, links: Mapping[str, str]) -> None:
        self._part = part
        self.merged = defaultdict[int, list[Range]](list)
        self.hides = False
        self._links = dict[tuple[int, int], str]()
        for kind, content in records(part):
            if kind in (MERGED, LINK):
                self._range(kind, content, links)
            elif kind == COLUMN:
                self.hides |= bool(content.skipped(16).take("H") & HIDDEN_COLUMN)
            elif kind == ROW:
                self.hides |= bool(content.skipped(11).take("B") & HIDDEN_ROW)

    def _range(self, kind: int, content: Content, links: Mapping[str, str]) -> None:
        top, bottom, left, right = (content.take("I") + 1 for _ in range(4))
        if kind == MERGED:
            self.merged[top].append(Range(left, top, min(right, MAX_COLUMNS), bottom))
        elif target := links.get(content.text(), ""):
            self._links[top, left] = target

    def rows(self, cells: Cells) -> Iterator[Row]:
        row, texts = 0, dict[int, str]()
        for kind, content in records(self._part):
            if kind == ROW:
                if texts:
                    yield row, texts
                row, texts = content.take("I") + 1, {}
            elif row and (2 <= kind <= 11 or kind == 62):
                column = content.take("I") + 1
                text = cells.text(kind, content) if column <= MAX_COLUMNS else ""
                if text:
                    texts[column] = with_target(text, self._links.get((row, column), ""))
        if texts:
            yield row, texts
