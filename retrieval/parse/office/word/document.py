"""Word (.docx): paragraphs, lists and tables in document order with their numbers, headings by style; the headers before, footers, notes
and comments after the text."""

from typing import IO

import docx
from docx.document import Document
from docx.opc.part import Part
from docx.oxml import parse_xml

from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.common.typography import superscript
from retrieval.parse.office import package
from retrieval.parse.office.margins import is_page_number
from retrieval.parse.office.word import parts
from retrieval.parse.office.word.blocks import Writer
from retrieval.parse.office.word.hidden_text import HiddenText
from retrieval.parse.office.word.numbering import Numbering
from retrieval.parse.office.word.styles import Styles
from retrieval.parse.office.word.text import NoteNumbers, TextReader


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    document = docx.Document(package.normalise(source, builder.limits))
    builder.set_title(document.core_properties.title)
    Reader(document, builder).read()


class Reader:
    """Reads one document."""

    def __init__(self, document: Document, builder: DocumentBuilder) -> None:
        self._document, self._builder = document, builder
        self._styles = Styles(document)
        self._hidden_text = HiddenText(document, self._styles)
        self._numbering, self._notes = Numbering(document, self._styles), NoteNumbers()

    def read(self) -> None:
        headers, footers = parts.headers_and_footers(self._document)
        self._margins(headers)
        self._writer(self._document.part).write(self._document.element.body)
        self._builder.set_headings(())
        self._margins(footers)
        self._write_notes()
        self._write_comments()
        if self._hidden_text.found:
            self._builder.add_note(HIDDEN_TEXT_NOTE)

    def _writer(self, part: Part) -> Writer:
        text = TextReader(part, self._styles, self._hidden_text, self._notes)
        return Writer(self._builder, text, self._styles, self._numbering)

    def _margins(self, found: list[Part]) -> None:
        """Headers or footers, each text once."""
        written = set[str]()
        for part in found:
            root = parse_xml(part.blob)
            writer = self._writer(part)
            plain = writer.flat(root)
            if plain not in written and not (writer.omitted_page_number and is_page_number(plain)):
                self._writer(part).write(root)
            written.add(plain)

    def _write_notes(self) -> None:
        """In the order of their numbers, then those that nothing refers to. Notes may refer to further notes."""
        known = {(kind, identifier): (part, note) for kind, part, identifier, note in parts.notes(self._document)}
        done = set[tuple[str, str]]()
        while waiting := [key for key in (*self._notes.order, *known) if key not in done]:
            key = waiting[0]
            done.add(key)
            if key in known:
                number = superscript(str(self._notes.order[key])) if key in self._notes.order else ""
                text = self._writer(known[key][0]).flat(known[key][1])
                self._builder.add_block("paragraph", f"{number} {text}" if text.strip() else "")

    def _write_comments(self) -> None:
        for comment in parts.comments(self._document):
            text = self._writer(comment.part).flat(comment.element)
            if text.strip():
                self._builder.add_block("paragraph", f"{comment.title}: {text}")
