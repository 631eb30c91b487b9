"""OpenDocument (.odt, .ods, .odp), its templates and its flat form (.fodt, .fods, .fodp), read by their structure."""

from collections.abc import Callable, Iterator
from typing import IO

from lxml.etree import XMLParser, fromstring

from retrieval.parse.common import archive, tables
from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.common.grid import Cell
from retrieval.parse.common.typography import superscript
from retrieval.parse.limits import ParseError
from retrieval.parse.office.margins import is_page_number
from retrieval.parse.office.opendocument import presentation, sheets
from retrieval.parse.office.opendocument.blocks import TABLE, Writer, table_rows
from retrieval.parse.office.opendocument.names import Element, q
from retrieval.parse.office.opendocument.styles import Styles
from retrieval.parse.office.opendocument.text import TextReader
from retrieval.parse.web import mathml

ZIP = b"PK"
CONTENT, STYLES, META, MANIFEST = "content.xml", "styles.xml", "meta.xml", "META-INF/manifest.xml"
HEADERS, FOOTERS = ("style:header", "style:header-first"), ("style:footer", "style:footer-first")
MATH = "{http://www.w3.org/1998/Math/MathML}math"


Parts = Callable[[str], bytes | None]  # content of a part by its name; None: the document has none such


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    packed = source.read(len(ZIP)) == ZIP
    source.seek(0)
    if not packed:
        whole = source.read()
        Reader(lambda name: whole if name in (CONTENT, STYLES, META) else None, builder).read()
        return
    with archive.open_archive(source, builder.limits) as zipped:
        if MANIFEST in zipped.namelist() and b"encryption-data" in archive.read_member(zipped, MANIFEST):
            raise ParseError("the file is protected with a password: save it without one")
        names = frozenset(zipped.namelist())
        Reader(lambda name: archive.read_member(zipped, name) if name == CONTENT or name in names else None, builder).read()


class Reader:
    """Reads one document."""

    def __init__(self, parts: Parts, builder: DocumentBuilder) -> None:
        self._parts, self._builder = parts, builder
        self._content, self._styles = self._part(CONTENT), self._part(STYLES)
        self._text = TextReader(Styles([root for root in (self._content, self._styles) if root is not None]))
        self._writer = Writer(builder, self._text, self._embedded)

    def read(self) -> None:
        about = self._part(META)
        self._builder.set_title(None if about is None else next((one.text for one in about.iter(q("dc:title"))), None))
        body = next(iter(self._content.find(q("office:body"))))
        if body.tag == q("office:spreadsheet"):
            sheets.write(body, self._builder, self._text, self._writer)
        elif body.tag in (q("office:presentation"), q("office:drawing")):
            presentation.write(body, self._builder, self._text, self._writer)
        else:
            self._margins(HEADERS)
            self._writer.write(body)
            self._builder.set_headings(())
            self._margins(FOOTERS)
        self._builder.page = None
        self._builder.set_headings(())
        for line in (*self._notes(), *self._text.comments):
            self._builder.add_block("paragraph", line)
        if self._text.hidden:
            self._builder.add_note(HIDDEN_TEXT_NOTE)

    def _part(self, name: str) -> Element:
        """None if the document has none such."""
        data = self._parts(name)
        if data is None:
            return None
        archive.forbid_entities(data, name)
        return fromstring(data, XMLParser(resolve_entities=False, no_network=True, huge_tree=True))

    def _margins(self, names: tuple[str, ...]) -> None:
        """Headers or footers, each text once."""
        found = [] if self._styles is None else [one for name in names for one in self._styles.iter(q(name))]
        seen = set[str]()
        for margin in found:
            text = self._text.flat(margin)
            counted = next(margin.iter(q("text:page-number"), q("text:page-count")), None) is not None
            self._text.take_anchored()
            if text not in seen and margin.get(q("style:display")) != "false" and not (counted and is_page_number(text)):
                self._writer.write(margin)
            seen.add(text)

    def _notes(self) -> Iterator[str]:
        return (f"{superscript(str(number))} {text}" for number, text in enumerate(self._text.notes, 1))

    def _embedded(self, reference: str) -> None:
        """A chart or an equation: a document within this one."""
        name = f"{reference.removeprefix('./').strip('/')}/{CONTENT}"
        root = self._part(name)
        if root is None:
            return
        if root.tag == MATH:
            self._builder.add_block("paragraph", mathml.text(root))
        elif next(root.iter(q("chart:chart")), None) is not None:
            titles = (self._text.flat(one) for one in root.iter(q("chart:title"), q("chart:subtitle")))
            self._builder.add_block("paragraph", "\n".join(titles))
            for table in root.iter(TABLE):
                self._builder.add_block("table", tables.render(_plain_rows(table, self._text)))


def _plain_rows(table: Element, text: TextReader) -> Iterator[list[Cell]]:
    for row, heading in table_rows(table):
        yield [Cell(text.flat(cell), heading=heading) for cell in row.iterchildren(q("table:table-cell"))]
