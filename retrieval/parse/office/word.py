"""Word (.docx): paragraphs, lists and tables in the order of the text, headings by style, footnotes at the end."""

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
from retrieval.parse.common.draft import UNSEEN, Draft
from retrieval.parse.office.word_hidden_text import Ink

PARAGRAPH, TABLE, ROW, CELL, RUN, TEXT = map(qn, ("w:p", "w:tbl", "w:tr", "w:tc", "w:r", "w:t"))
AROUND = tuple(map(qn, ("w:sdt", "w:sdtContent", "w:customXml", "w:ins", "w:moveTo")))
FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"  # says what stands beside it again
GONE = (*map(qn, ("w:del", "w:moveFrom", "w:instrText", "w:delText", "w:pPr", "w:sdtPr")), FALLBACK)
SPACES = {qn("w:tab"): "\t", qn("w:br"): "\n", qn("w:cr"): "\n", qn("w:noBreakHyphen"): "-"}
NOTES = (RELATIONSHIP_TYPE.FOOTNOTES, RELATIONSHIP_TYPE.ENDNOTES)


def read(source: IO[bytes], draft: Draft) -> None:
    with archive.open_archive(source, draft.limits) as zipped:
        archive.forbid_doctype(zipped)
    document = docx.Document(source)
    draft.title(document.core_properties.title)
    ink = Ink(document)
    Writer(document, draft, ink).write()
    for text in _notes(document, ink):
        draft.add("paragraph", text)
    if ink.hid:
        draft.note(UNSEEN)


class Writer:
    """Items of a list collect until the list ends."""

    def __init__(self, document: Document, draft: Draft, ink: Ink) -> None:
        self._document, self._draft, self._ink = document, draft, ink
        self._items: list[str] = []

    def write(self) -> None:
        for element in _blocks(self._document.element.body):
            if element.tag == TABLE:
                self._end_list()
                _table(element, self._draft, self._ink)
            else:
                self._paragraph(element)
        self._end_list()

    def _paragraph(self, element: Element) -> None:
        text, style = "".join(_text(element, self._ink)), _styles(element, self._document)
        level, depth = _level(element, style), _depth(element, style)
        if depth is not None and level is None:
            if text.strip():
                self._items.append(f"{'  ' * depth}- {tables.flat(text)}")
            return
        self._end_list()
        if level is None:
            self._draft.add("paragraph", text)
        else:
            self._draft.heading(text, level)

    def _end_list(self) -> None:
        self._draft.add("list", "\n".join(self._items))
        self._items.clear()


def _blocks(parent: Element) -> Iterator[Element]:
    for child in parent:
        if child.tag in (PARAGRAPH, TABLE):
            yield child
        elif child.tag in AROUND:
            yield from _blocks(child)


def _text(element: Element, ink: Ink) -> Iterator[str]:
    """What is printed: without what was deleted, with what was inserted, without what nobody sees."""
    for child in element:
        if child.tag == TEXT:
            yield child.text or ""
        elif child.tag in SPACES:
            yield SPACES[child.tag]
        elif child.tag == RUN:
            yield from _run(child, ink)
        elif child.tag not in GONE and isinstance(child.tag, str):
            yield from _text(child, ink)
            if child.tag == PARAGRAPH:  # of a text box
                yield "\n"


def _run(run: Element, ink: Ink) -> Iterator[str]:
    match ink.seen(run):
        case "all":
            yield from _text(run, ink)
        case "boxes":
            for child in run:
                if child.tag not in (TEXT, *GONE) and isinstance(child.tag, str):
                    yield from _text(child, ink)
        case "nothing":
            return


def _styles(element: Element, document: Document) -> list[str]:
    """Names of the paragraph's style and of those that it builds on, in lower case."""
    style, names = Paragraph(element, document._body).style, list[str]()  # pyright: ignore[reportPrivateUsage]
    while isinstance(style, ParagraphStyle) and len(names) < 10:
        names.append((style.name or "").lower())
        style = style.base_style
    return names


def _level(element: Element, styles: list[str]) -> int | None:
    """None: it is no heading. 0: it is the title of the whole."""
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
    """Of an item of a list, from 0. None: it is none."""
    numbering = element.find(f"{qn('w:pPr')}/{qn('w:numPr')}")
    if numbering is None:
        return 0 if any(name.startswith("list ") and name != "list paragraph" for name in styles) else None
    level = numbering.find(qn("w:ilvl"))
    value = level.get(qn("w:val"), "0") if level is not None else "0"
    return int(value) if value.isdigit() else 0


def _table(table: Element, draft: Draft, ink: Ink) -> None:
    rows = [[" ".join(_cell(cell, ink)) for cell in row.iter(CELL)] for row in table.iterchildren(ROW)]
    draft.add("table", tables.render(rows, header=tables.has_header(rows)))


def _cell(cell: Element, ink: Ink) -> Iterator[str]:
    yield from ("".join(_text(paragraph, ink)) for paragraph in _blocks(cell) if paragraph.tag == PARAGRAPH)


def _notes(document: Document, ink: Ink) -> Iterator[str]:
    for relation in document.part.rels.values():
        if relation.reltype in NOTES and not relation.is_external:
            for note in parse_xml(relation.target_part.blob):
                yield " ".join("".join(_text(paragraph, ink)) for paragraph in note.iter(PARAGRAPH))
