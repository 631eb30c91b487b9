"""What stands behind the rows of a sheet's XML and is needed before them: merged cells, links, printed headers and footers."""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from openpyxl.utils import range_boundaries
from openpyxl.utils.exceptions import CellCoordinatesException

from retrieval.parse.common.grid import MAX_COLUMNS
from retrieval.parse.office.margins import is_page_number
from retrieval.parse.office.workbook.merged import Range

READ_SIZE = 1 << 20  # bytes
MAX_ELEMENT = 8 << 10  # bytes of an element looked for
MAX_FOUND = 100_000
_ELEMENT = re.compile(rb"<(?:\w+:)?(mergeCell|hyperlink)\s([^<>]*)>|<(?:\w+:)?((?:odd|even|first)(?:Header|Footer))>([^<]*)<")
_ATTRIBUTE = re.compile(rb"""([\w:]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_HEADER_CODE = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f]{6}|\d+|[LCR]|[A-Z])|&(?=&)')


@dataclass(frozen=True, slots=True)
class Markup:
    merged: dict[int, list[Range]]  # by first row
    links: dict[tuple[int, int], str]  # relationship of the target by row and column
    margins: tuple[str, ...]  # texts of headers and footers


def read(source: IO[bytes]) -> Markup:
    merged, links, margins = defaultdict[int, list[Range]](list), dict[tuple[int, int], str](), dict[str, None]()
    for found in _elements(source):
        if found[3]:
            if text := _margin(found[4].decode("utf-8", "replace")):
                margins[text] = None
            continue
        attributes = {name.decode(): (double or single).decode("utf-8", "replace") for name, double, single in _ATTRIBUTE.findall(found[2])}
        cells = _range(attributes.get("ref", ""))
        if cells and found[1] == b"mergeCell":
            merged[cells.top].append(cells)
        elif cells and (relation := next((value for name, value in attributes.items() if name.endswith(":id")), "")):
            links[cells.top, cells.left] = relation
    return Markup(dict(merged), links, tuple(margins))


def _elements(source: IO[bytes]) -> Iterator[re.Match[bytes]]:
    before, count = b"", 0
    while (block := source.read(READ_SIZE)) and count < MAX_FOUND:
        text, end = before + block, 0
        for found in _ELEMENT.finditer(text):
            end, count = found.end(), count + 1
            yield found
        before = text[max(end, len(text) - MAX_ELEMENT) :]


def _range(reference: str) -> Range | None:
    try:
        left, top, right, bottom = range_boundaries(reference)
    except (ValueError, TypeError, CellCoordinatesException):
        return None
    if not (left and top and right and bottom) or right < left or bottom < top:
        return None
    return Range(left, top, min(right, MAX_COLUMNS), bottom)


def _margin(text: str) -> str:
    """The words of a header or footer, without codes of fonts, fields and pictures."""
    coded = html.unescape(text)
    text = " ".join(_HEADER_CODE.sub(" ", coded).split())
    return "" if is_page_number(text) and ("&P" in coded or "&N" in coded) else text
