"""Adds the elements of a page to a document, block by block."""

import re
from collections.abc import Iterator

from lxml import html

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell
from retrieval.parse.web import lists
from retrieval.parse.web.inline import INLINE, InlineText

Element = html.HtmlElement

HEADINGS = {f"h{level}": level for level in range(1, 7)}
BREAK = "\u2028"  # stands for <br> while other white space is collapsed
ANCHORS = " \t\n§¶"  # link signs that site generators put beside headings
TEXT_BLOCKS = ("p", "div", "blockquote", "td", "address")  # elements that pages set in fixed lines
GROUPS = ("thead", "tbody", "tfoot")  # of rows
STRUCTURE = frozenset((*HEADINGS, "table", "pre"))


class BlockWriter:
    """Adds an element tree to the builder in one pass. Inline text collects in `_line` until a block begins or ends."""

    def __init__(self, builder: DocumentBuilder, inline: InlineText) -> None:
        self._builder, self._inline = builder, inline
        self._line: list[str] = []
        self._number = ""  # of the list item that begins here

    def read(self, element: Element) -> None:
        self._inside(element)
        self._flush()

    def _inside(self, element: Element) -> None:
        self._line.append(element.text or "")
        for child in element:
            if isinstance(child.tag, str) and not self._inline.is_hidden(child):
                self._element(child, child.tag)
            self._line.append(child.tail or "")

    def _element(self, element: Element, tag: str) -> None:
        if tag == "br":
            self._line.append(BREAK)
        elif (text := self._inline.marked(element)) is not None:
            self._line.append(text)
        elif tag in INLINE:
            self._inside(element)
        else:
            self._flush()
            self._block(element, tag)
            self._flush()

    def _block(self, element: Element, tag: str) -> None:
        if level := _heading_level(element, tag):
            self._builder.add_heading(self._numbered(self._inline.of(element, links=False).strip(ANCHORS)), level)
        elif tag == "pre" or (tag in TEXT_BLOCKS and self._inline.keeps_spaces(element) and not _contains(element, STRUCTURE)):
            self._builder.add_block("code", self._inline.verbatim(element))
        elif tag == "table":
            _put_in_rows(element)
            self._inside(element) if _is_layout_table(element) else self._table(element)
        elif tag in ("ul", "ol", "dl"):
            self._list(element)
        else:
            self._inside(element)

    def _list(self, element: Element) -> None:
        """A block, or, if it holds other structure than text, block by block."""
        if not _contains(element, STRUCTURE):
            self._builder.add_block("list", "\n".join(lists.lines(element, self._inline)))
            return
        for mark, item in lists.marked_items(element):
            if not self._inline.is_hidden(item):
                self._number = mark if item.tag == "li" and element.tag == "ol" else ""
                self._inside(item)
                self._flush()

    def _flush(self) -> None:
        self._builder.add_block("paragraph", self._numbered(_join_inline(self._line)))
        self._line.clear()

    def _numbered(self, text: str) -> str:
        if not text.strip():
            return text
        number, self._number = self._number, ""
        return number + text.lstrip()

    def _table(self, element: Element) -> None:
        """What stands in the table but in no row, such as its title, is shown above it."""
        for group in (element, *element.iterchildren(*GROUPS)):
            self._line.append(group.text or "")
            for part in group:
                if isinstance(part.tag, str) and part.tag not in (*GROUPS, "tr") and not self._inline.is_hidden(part):
                    self._element(part, part.tag)
                self._line.append(part.tail or "")
        self._flush()
        rows = (row for row in _rows(element) if not self._inline.is_hidden(row))
        self._builder.add_block("table", tables.render([self._cell(cell) for cell in self._cells(row)] for row in rows))

    def _cells(self, row: Element) -> Iterator[Element]:
        return (cell for cell in row.iterchildren("th", "td") if not self._inline.is_hidden(cell))

    def _cell(self, cell: Element) -> Cell:
        text = tables.collapse_spaces(self._inline.of(cell))
        return Cell(text, _span(cell, "rowspan"), _span(cell, "colspan") or 1, cell.tag == "th")


def _heading_level(element: Element, tag: str) -> int:
    """0: no heading."""
    if element.get("role") == "heading":
        level = element.get("aria-level", "")
        return int(level) if re.fullmatch("[1-6]", level) else 2
    return HEADINGS.get(tag, 0)


def _rows(table: Element) -> Iterator[Element]:
    """Not those of tables within it; the foot, which may be written before the body, comes last."""
    yield from table.iterchildren("tr")
    for name in GROUPS:
        for group in table.iterchildren(name):
            yield from group.iterchildren("tr")


def _put_in_rows(table: Element) -> None:
    """Cells outside of rows make a row, as in browsers."""
    for group in (table, *table.iterchildren(*GROUPS)):
        stray = [child for child in group if child.tag in ("td", "th")]
        for cell in stray:
            before = cell.getprevious()
            if before is None or before.get("data-made-of-cells") is None:
                before = cell.makeelement("tr", {"data-made-of-cells": ""})
                cell.addprevious(before)
            before.append(cell)


def _span(cell: Element, name: str) -> int:
    value = cell.get(name, "1").strip()
    return int(value) if value.isdecimal() and len(value) < 6 else 1


def _contains(element: Element, tags: frozenset[str]) -> bool:
    return any(True for _ in element.iterdescendants(*tags))


def _is_layout_table(table: Element) -> bool:
    """A table used only for page layout."""
    rows = list(_rows(table))
    if max((sum(1 for _ in row.iterchildren("th", "td")) for row in rows), default=0) < 2:
        return True
    headed = any(cell.tag == "th" for row in rows for cell in row.iterchildren("th"))
    return _contains(table, STRUCTURE) and not headed


def _join_inline(line: list[str]) -> str:
    """Collapses white space as a browser does; only <br> becomes a newline."""
    return re.sub(r"[ \t\n\r\f]+", " ", "".join(line)).replace(BREAK, "\n")
