"""Adds paragraphs, lists and tables of a part of a Word document to the builder."""

from collections.abc import Iterator

from docx.oxml import parse_xml
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common import tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office.drawing import charts, diagrams
from retrieval.parse.office.drawing.alternatives import understood
from retrieval.parse.office.word import tables as word_tables
from retrieval.parse.office.word.anchored import Anchored, Box, Chart, Diagram, Shown, Words
from retrieval.parse.office.word.numbering import BULLET, Label, Numbering
from retrieval.parse.office.word.styles import Styles, value_of
from retrieval.parse.office.word.text import TextReader
from retrieval.parse.web import html

PARAGRAPH, TABLE, CHUNK, RELATION = map(qn, ("w:p", "w:tbl", "w:altChunk", "r:id"))
PAGES = ("text/html", "application/xhtml+xml")  # types of embedded files that are read
CONTAINERS = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:customXml", "w:smartTag", "w:ins", "w:moveTo")))
REMOVED_MARKS = ("w:pPr/w:rPr/w:del", "w:pPr/w:rPr/w:moveFrom")  # tracked: the paragraph goes on in the next one


class Writer:
    """List items collect until the list ends; what is anchored in a paragraph follows it."""

    def __init__(self, builder: DocumentBuilder, text: TextReader, styles: Styles, numbering: Numbering) -> None:
        self._builder, self._text, self._styles, self._numbering = builder, text, styles, numbering
        self._items: list[str] = []

    @property
    def omitted_page_number(self) -> bool:
        return self._text.omitted_page_number

    def write(self, parent: Element) -> None:
        for element, text in self._blocks(parent):
            if element.tag == CHUNK:
                self._flush_list()
                self._chunk(element.get(RELATION, ""))
            elif text is None:
                self._flush_list()
                self._table(element)
            else:
                self._paragraph(element, text)
            self._write_anchored()
        self._flush_list()

    def flat(self, parent: Element) -> str:
        """The text of a cell, note or text box on one line, with what is anchored in it."""
        parts = list[str]()
        for element, text in self._blocks(parent):
            if element.tag == CHUNK:
                continue
            if text is None:
                parts += ("; ".join(cell.text for cell in row if cell.text) for row in self._rows(element))
            else:
                label = self._label(element)
                parts.append(f"{label.text} {text}" if label and label.text != BULLET and text.strip() else text)
            parts += map(self._flat_anchored, self._text.take_anchored())
        return tables.collapse_spaces(" ".join(parts))

    def _blocks(self, parent: Element) -> Iterator[tuple[Element, str | None]]:
        """Paragraphs with their text, tables and embedded files with None. A paragraph whose end was deleted is part of the next one."""
        before, last = "", None
        for element in _paragraphs_and_tables(parent):
            if element.tag != PARAGRAPH:
                yield element, None
                continue
            text, last = before + self._text.text(element), element
            before = text if any(element.find("/".join(map(qn, mark.split("/")))) is not None for mark in REMOVED_MARKS) else ""
            if not before:
                yield element, text
        if before and last is not None:
            yield last, before

    def _label(self, paragraph: Element) -> Label | None:
        label = self._numbering.label(paragraph)
        listed = any(name.startswith("list ") and name != "list paragraph" for name in self._styles.names(paragraph))
        return label or (Label(BULLET, 0) if listed and not value_of(paragraph, "w:pPr/w:numPr/w:numId") else None)

    def _paragraph(self, element: Element, text: str) -> None:
        if not text.strip():
            return
        level, label = self._level(element), self._label(element)
        if level is None and label is not None and label.text:
            self._items.append(f"{'  ' * label.depth}{label.text} {tables.collapse_spaces(text)}")
            return
        self._flush_list()
        if level is None:
            self._builder.add_block("paragraph", text)
        else:
            number = "" if label is None or label.text == BULLET else label.text
            self._builder.add_heading(f"{number} {text}", level)

    def _level(self, element: Element) -> int | None:
        """Heading level; 0: title of the document; None: not a heading."""
        outlines = [element, *self._styles.chain(self._styles.of_paragraph(element))]
        for name, holder in zip(["", *self._styles.names(element)], outlines, strict=True):
            kind, _, number = name.partition(" ")
            if kind == "heading" and number.isdigit():
                return int(number)
            if name == "title":
                return 0
            if (outline := value_of(holder, "w:pPr/w:outlineLvl")).isdigit() and int(outline) < 9:
                return int(outline) + 1
        return None

    def _flush_list(self) -> None:
        self._builder.add_block("list", "\n".join(self._items))
        self._items.clear()

    def _table(self, table: Element) -> None:
        cells = list(word_tables.single_cells(table))
        if cells:  # one column: a frame around text
            for cell in cells:
                self.write(cell)
        else:
            self._builder.add_block("table", tables.render(self._rows(table)))

    def _rows(self, table: Element) -> list[list[tables.Cell]]:
        return word_tables.rows(table, self.flat)

    def _chunk(self, relation: str) -> None:
        """A file embedded as a part of the text, as report generators do it."""
        found = self._text.part.rels.get(relation)
        if found is None or found.is_external:
            return
        if found.target_part.content_type in PAGES:
            html.read(found.target_part.blob, self._builder)
        else:
            self._builder.add_note("an embedded file was left out: open the document in Word and save it again")

    def _write_anchored(self) -> None:
        for found in self._text.take_anchored():
            self._flush_list()
            match found:
                case Box(content):
                    self.write(content)
                case Words(text):
                    self._builder.add_block("paragraph", text)
                case Chart(relation):
                    if (space := self._related(relation)) is not None:
                        charts.write(space, self._builder)
                case Diagram(relation):
                    self._builder.add_block("list", "\n".join(self._diagram(relation)))
                case Shown(relation):
                    self._picture(relation)

    def _flat_anchored(self, found: Anchored) -> str:
        match found:
            case Box(content):
                return self.flat(content)
            case Words(text):
                return text
            case Chart(relation):
                space = self._related(relation)
                return "" if space is None else " ".join(charts.titles(space))
            case Diagram(relation):
                return " ".join(self._diagram(relation))
            case Shown(relation):
                self._picture(relation)
                return ""

    def _picture(self, relation: str) -> None:
        found = self._text.part.rels.get(relation)
        if found is not None and not found.is_external:
            self._builder.add_picture(found.target_part.blob)

    def _diagram(self, relation: str) -> Iterator[str]:
        model = self._related(relation)
        return diagrams.lines(model) if model is not None else iter(())

    def _related(self, relation: str) -> Element | None:
        found = self._text.part.rels.get(relation)
        return None if found is None or found.is_external else parse_xml(found.target_part.blob)


def _paragraphs_and_tables(parent: Element) -> Iterator[Element]:
    for child in understood(parent):
        if child.tag in (PARAGRAPH, TABLE, CHUNK):
            yield child
        elif child.tag in CONTAINERS:
            yield from _paragraphs_and_tables(child)
