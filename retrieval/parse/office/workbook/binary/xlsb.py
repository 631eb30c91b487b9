"""Excel's binary workbooks of 2007 (.xlsb; [MS-XLSB]). The numbers in the code are record types of its section 2.3.2."""

import datetime
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO

from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900

from retrieval.parse.common import archive
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office.workbook import attachments
from retrieval.parse.office.workbook.binary.records import Content, records
from retrieval.parse.office.workbook.binary.sheet import Sheet
from retrieval.parse.office.workbook.binary.xlsb_sheet import Cells, SheetPart
from retrieval.parse.office.workbook.styles import built_in

WORKBOOK = "xl/workbook.bin"
VISIBLE = 0  # state of a sheet


@dataclass(slots=True)
class _Book:
    """`sheets`: relation, name and whether it is hidden."""

    epoch: datetime.datetime = CALENDAR_WINDOWS_1900
    sheets: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])


def sheets(source: IO[bytes], builder: DocumentBuilder) -> list[Sheet]:
    """Raises LookupError, ValueError or struct.error for a damaged file."""
    zipped = archive.open_archive(source, builder.limits)
    related = attachments.relations(zipped, WORKBOOK)
    parts = {one.Type.rpartition("/")[2]: one.target for one in related}
    book, targets = _book(archive.read_member(zipped, WORKBOOK)), {one.Id: one.target for one in related}
    cells = Cells(_strings(zipped, parts.get("sharedStrings")), _codes(zipped, parts.get("styles")), book.epoch)
    return [_sheet(zipped, targets[relation], cells, name, hidden) for relation, name, hidden in book.sheets if relation in targets]


def _sheet(zipped: zipfile.ZipFile, name: str, cells: Cells, title: str, hidden: bool) -> Sheet:
    links = {one.Id: one.target for one in attachments.relations(zipped, name) if one.TargetMode == "External"}
    part = SheetPart(archive.read_member(zipped, name), links)

    def beside(builder: DocumentBuilder) -> None:
        attachments.write(zipped, name, builder)

    return Sheet(title, part.rows(cells), part.merged, list(_comments(zipped, name)), hidden, part.hides, beside)


def _book(part: bytes) -> _Book:
    book = _Book()
    for kind, content in records(part):
        if kind == 153 and content.take("I") & 1:
            book.epoch = CALENDAR_MAC_1904
        elif kind == 156:
            hidden = content.take("I") != VISIBLE
            content.take("I")
            book.sheets.append((content.text(), content.text(), hidden))
    return book


def _strings(zipped: zipfile.ZipFile, part: str | None) -> list[str]:
    return [content.rich_text() for kind, content in records(archive.read_member(zipped, part)) if kind == 19] if part else []


def _codes(zipped: zipfile.ZipFile, part: str | None) -> list[str]:
    """The number format of each style of cells."""
    own, found, inside = dict[int, str](), list[str](), False
    for kind, content in records(archive.read_member(zipped, part)) if part else ():
        if kind in (617, 618):
            inside = kind == 617
        elif kind == 44:
            number = content.take("H")
            own[number] = content.text()
        elif kind == 47 and inside:
            content.take("H")
            number = content.take("H")
            found.append(own.get(number) or built_in(number))
    return found


def _comments(zipped: zipfile.ZipFile, sheet: str) -> Iterator[str]:
    for relation in attachments.relations(zipped, sheet):
        if relation.Type.endswith("/comments") and relation.target in zipped.namelist():
            authors, author, place = list[str](), 0, ""
            for kind, content in records(archive.read_member(zipped, relation.target)):
                if kind == 632:
                    authors.append(content.text())
                elif kind == 635:
                    author, place = content.take("I"), _place(content)
                elif kind == 637:
                    yield attachments.comment_line(authors[author] if author < len(authors) else "", place, content.rich_text())


def _place(content: Content) -> str:
    row, _, column, _ = (content.take("I") for _ in range(4))
    return attachments.coordinate(row + 1, column + 1)
