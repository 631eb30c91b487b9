"""Word (.docx): paragraphs, lists and tables in document order, headings by style, footnotes and endnotes at the end."""

from collections.abc import Iterator
from typing import IO

import docx
from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.oxml import parse_xml
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element
from docx.styles.style import ParagraphStyle
from docx.text.paragraph import Paragraph

from retrieval.parse.common import archive, tables
from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.office import word_tables
from retrieval.parse.office.word_hidden_text import HiddenText

PARAGRAPH, TABLE, RUN, TEXT = map(qn, ("w:p", "w:tbl", "w:r", "w:t"))
CONTAINERS = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:customXml", "w:ins", "w:moveTo")))
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # repeats its siblings for older programs
SKIPPED = (*map(qn, ("w:del", "w:moveFrom", "w:instrText", "w:delText", "w:pPr", "w:sdtPr")), FALLBACK)
SPACES = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
NOTES = (RELATIONSHIP_TYPE.FOOTNOTES, RELATIONSHIP_TYPE.ENDNOTES)


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    with archive.open_archive(source, builder.limits) as zipped:
        archive.forbid_doctype(zipped)
    document = docx.Document(source)
    builder.set_title(document.core_properties.title)
    hidden_text = HiddenText(document)
    Writer(document, builder, hidden_text).write()
    for text in _notes(document, hidden_text):
        builder.add_block("paragraph", text)
    if hidden_text.found:
        builder.add_note(HIDDEN_TEXT_NOTE)


class Writer:
    """Adds the document's blocks to the builder. List items collect until the list ends."""

    def __init__(self, document: Document, builder: DocumentBuilder, hidden_text: HiddenText) -> None:
        self._document, self._builder, self._hidden_text = document, builder, hidden_text
        self._items: list[str] = []

    def write(self) -> None:
        for element in _blocks(self._document.element.body):
            if element.tag == TABLE:
                self._flush_list()
                _table(element, self._builder, self._hidden_text)
            else:
                self._paragraph(element)
        self._flush_list()

    def _paragraph(self, element: Element) -> None:
        text, style = "".join(_text(element, self._hidden_text)), _styles(element, self._document)
        level, depth = _level(element, style), _depth(element, style)
        if depth is not None and level is None:
            if text.strip():
                self._items.append(f"{'  ' * depth}- {tables.collapse_spaces(text)}")
            return
        self._flush_list()
        if level is None:
            self._builder.add_block("paragraph", text)
        else:
            self._builder.add_heading(text, level)

    def _flush_list(self) -> None:
        self._builder.add_block("list", "\n".join(self._items))
        self._items.clear()


def _blocks(parent: Element) -> Iterator[Element]:
    for child in parent:
        if child.tag in (PARAGRAPH, TABLE):
            yield child
        elif child.tag in CONTAINERS:
            yield from _blocks(child)


def _text(element: Element, hidden_text: HiddenText) -> Iterator[str]:
    """Text as printed: with insertions, without deletions and hidden text."""
    for child in element:
        if child.tag == TEXT:
            yield child.text or ""
        elif child.tag in SPACES:
            yield SPACES[child.tag]
        elif child.tag == RUN:
            yield from _run(child, hidden_text)
        elif child.tag not in SKIPPED and isinstance(child.tag, str):
            yield from _text(child, hidden_text)
            if child.tag == PARAGRAPH:  # in a text box
                yield "\n"


def _run(run: Element, hidden_text: HiddenText) -> Iterator[str]:
    match hidden_text.visible_part(run):
        case "all":
            yield from _text(run, hidden_text)
        case "boxes":
            for child in run:
                if child.tag not in (TEXT, *SKIPPED) and isinstance(child.tag, str):
                    yield from _text(child, hidden_text)
        case "nothing":
            return


def _styles(element: Element, document: Document) -> list[str]:
    """Names of the paragraph's style and of its base styles, in lower case."""
    style, names = Paragraph(element, document._body).style, list[str]()  # pyright: ignore[reportPrivateUsage]
    while isinstance(style, ParagraphStyle) and len(names) < 10:
        names.append((style.name or "").lower())
        style = style.base_style
    return names


def _level(element: Element, styles: list[str]) -> int | None:
    """Heading level; 0: title of the document; None: not a heading."""
    outline = element.find(f"{qn('w:pPr')}/{qn('w:outlineLvl')}")
    if outline is not None and (value := outline.get(qn("w:val"), "9")).isdigit() and int(value) < 9:
        return int(value) + 1
    for name in styles:
        kind, _, number = name.partition(" ")
        if kind == "heading" and number.isdigit():
            return int(number)
        if name == "title":
            return 0
    return None


def _depth(element: Element, styles: list[str]) -> int | None:
    """Nesting depth of a list item, from 0. None: not a list item."""
    numbering = element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
    if numbering is None:
        return 0 if any(name.startswith("list ") and name != "list paragraph" for name in styles) else None
    level = numbering.find(qn("w:ilvl"))
    value = level.get(qn("w:val"), "0") if level is not None else "0"
    return int(value) if value.isdigit() else 0


def _table(table: Element, builder: DocumentBuilder, hidden_text: HiddenText) -> None:
    builder.add_block("table", tables.render(word_tables.rows(table, lambda cell: " ".join(_cell(cell, hidden_text)))))


def _cell(cell: Element, hidden_text: HiddenText) -> Iterator[str]:
    yield from ("".join(_text(paragraph, hidden_text)) for paragraph in _blocks(cell) if paragraph.tag == PARAGRAPH)


def _notes(document: Document, hidden_text: HiddenText) -> Iterator[str]:
    for relation in document.part.rels.values():
        if relation.reltype in NOTES and not relation.is_external:
            for note in parse_xml(relation.target_part.blob):
                yield " ".join("".join(_text(paragraph, hidden_text)) for paragraph in note.iter(PARAGRAPH))
