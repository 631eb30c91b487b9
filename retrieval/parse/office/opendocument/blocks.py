"""Adds headings, paragraphs, lists, tables and frames of OpenDocument files to the builder."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.grid import Cell
from retrieval.parse.office.drawing.alternatives import alternative_text
from retrieval.parse.office.opendocument.names import Element, count, q
from retrieval.parse.office.opendocument.numbering import BULLET, Counter, heading_label, item_label
from retrieval.parse.office.opendocument.text import FRAMES, HEADING, PARAGRAPH, TextReader

TABLE, LIST = q("table:table"), q("text:list")
SKIPPED = tuple(
    map(
        q,
        (
            "text:tracked-changes",
            "text:sequence-decls",
            "text:variable-decls",
            "text:user-field-decls",
            "office:forms",
            "svg:desc",
            "svg:title",
        ),
    )
)
MAX_ROWS_REPEATED = 1_000  # of a table in a text
MAX_LEVEL = 10  # of lists


@dataclass(frozen=True, slots=True)
class Item:
    """A paragraph or heading of a list. `label`: its number or BULLET; "" for the second and further ones of an item."""

    level: int  # from 1
    label: str
    paragraph: Element


class Writer:
    """`embedded` adds what a frame refers to: a chart or an equation."""

    def __init__(self, builder: DocumentBuilder, text: TextReader, embedded: Callable[[str], None]) -> None:
        self._builder, self._text, self._embedded = builder, text, embedded
        self._headings = Counter()
        self._lines = list[str]()  # of the list that has not ended
        self._lists = defaultdict[str, Counter](Counter)  # by style, to be continued

    def write(self, parent: Element) -> None:
        self._write(parent)
        self._flush_list()

    def _write(self, parent: Element) -> None:
        for child in parent:
            if not isinstance(child.tag, str) or child.tag in SKIPPED or self._is_hidden(child):
                continue
            if child.tag == LIST:
                self._write_list(child)
            elif child.tag == PARAGRAPH:
                self._paragraph(child)
            elif child.tag == HEADING:
                self._heading(child, heading_label(self._text.styles, count(child, "text:outline-level"), self._headings))
            elif child.tag == TABLE:
                self._table(child)
            elif child.tag in FRAMES:
                self.frame(child)
            else:
                self._write(child)
            self._write_anchored()

    def _flush_list(self) -> None:
        self._builder.add_block("list", "\n".join(self._lines))
        self._lines.clear()

    def _write_list(self, element: Element) -> None:
        """Lists that follow one another are one block."""
        for item in self._items(element):
            if item.paragraph.tag == HEADING:
                self._heading(item.paragraph, item.label if item.label != BULLET else "")
            elif text := tables.collapse_spaces(self._text.text(item.paragraph)):
                self._lines.append(f"{'  ' * (item.level - 1)}{item.label or ' '} {text}")

    def _is_hidden(self, section: Element) -> bool:
        return section.tag == q("text:section") and section.get(q("text:display")) == "none"

    def _heading(self, element: Element, label: str) -> None:
        self._flush_list()
        text = self._text.text(element)
        self._builder.add_heading(f"{label} {text}" if text.strip() else "", count(element, "text:outline-level"))

    def _paragraph(self, element: Element) -> None:
        name = element.get(q("text:style-name"), "")
        names = [name, *(style.get(q("style:name"), "") for style in self._text.styles.chain("paragraph", name))]
        text = self._text.text(element)
        if text.strip():
            self._flush_list()
        if "Title" in names:
            self._builder.add_heading(text, 0)
        else:
            self._builder.add_block("paragraph", text)

    def _items(self, element: Element) -> Iterator[Item]:
        style = element.get(q("text:style-name"), "")
        if element.get(q("text:continue-numbering")) != "true" and not element.get(q("text:continue-list")):
            self._lists[style] = Counter()
        return self._inner_items(element, 1, style, self._lists[style])

    def _inner_items(self, element: Element, level: int, style: str, counter: Counter) -> Iterator[Item]:
        """A list within a list may have a style of its own. An item that holds nothing but a list is not counted."""
        style = element.get(q("text:style-name")) or style
        for item in element.iterchildren(q("text:list-item"), q("text:list-header")):
            numbered = item.tag == q("text:list-item")
            for child in item:
                if child.tag == LIST and level < MAX_LEVEL:
                    yield from self._inner_items(child, level + 1, style, counter)
                elif child.tag in (PARAGRAPH, HEADING):
                    yield Item(level, item_label(self._text.styles, style, level, counter, item) if numbered else "", child)
                    numbered = False

    def _table(self, table: Element) -> None:
        self._flush_list()
        rows = list(self._rows(table))
        if all(len(row) < 2 for row in rows):  # one column: a frame around text
            for cell in table.iter(q("table:table-cell")):
                if next(cell.iterancestors(TABLE)) is table:
                    self.write(cell)
        else:
            self._builder.add_block("table", tables.render(rows))

    def _rows(self, table: Element) -> Iterator[list[Cell]]:
        for row, heading in table_rows(table):
            cells = list[Cell]()
            for cell in row.iterchildren(q("table:table-cell")):  # covered cells have no place in rows of spanning cells
                text = self._cell(cell)
                rows, columns = count(cell, "table:number-rows-spanned"), count(cell, "table:number-columns-spanned")
                repeated = min(count(cell, "table:number-columns-repeated"), 1_000 if text else 1)
                cells += [Cell(text, rows, columns, heading)] * repeated
            for _ in range(min(count(row, "table:number-rows-repeated"), MAX_ROWS_REPEATED)):
                yield cells

    def _cell(self, cell: Element) -> str:
        parts = list[str]()
        for child in cell:
            if child.tag in (PARAGRAPH, HEADING):
                parts.append(self._text.text(child))
            elif child.tag == LIST:
                parts += (f"{one.label if one.label != BULLET else ''} {self._text.text(one.paragraph)}" for one in self._items(child))
            elif child.tag == TABLE:
                parts += ("; ".join(one.text for one in row if one.text) for row in self._rows(child))
            elif child.tag in FRAMES or child.tag == q("text:section"):
                parts.append(self._text.flat(child))
        parts += (self._text.flat(frame) for frame in self._text.take_anchored())
        return tables.collapse_spaces(" ".join(parts))

    def _write_anchored(self) -> None:
        for frame in self._text.take_anchored():
            self.frame(frame)

    def frame(self, frame: Element) -> None:
        """A frame, a shape or a group: its text, its description, and what is embedded in it."""
        self._flush_list()
        description = " ".join(one.text or "" for name in ("svg:desc", "svg:title") for one in frame.iterchildren(q(name)))
        for child in frame:
            if child.tag in (q("draw:object"), q("draw:object-ole")):
                if next(child.iterchildren(TABLE), None) is not None:
                    self.write(child)
                self._embedded(child.get(q("xlink:href"), ""))
            elif child.tag == q("draw:text-box"):
                self.write(child)
        if frame.tag != q("draw:frame"):
            self.write(frame)
        for table in frame.iterchildren(TABLE):
            self._table(table)
        self._builder.add_block("paragraph", alternative_text({"descr": description}))


def table_rows(table: Element) -> Iterator[tuple[Element, bool]]:
    """Rows, also in groups, and whether they are headings."""
    for child in table:
        if child.tag == q("table:table-row"):
            yield child, table.tag == q("table:table-header-rows")
        elif child.tag in map(q, ("table:table-header-rows", "table:table-rows", "table:table-row-group")):
            yield from table_rows(child)
