"""The parts of a Word document beside its body: headers, footers, notes, comments."""

from collections.abc import Iterator
from dataclasses import dataclass

from docx.document import Document
from docx.opc.constants import RELATIONSHIP_TYPE
from docx.opc.part import Part
from docx.oxml import parse_xml
from docx.oxml.ns import qn
from docx.oxml.xmlchemy import BaseOxmlElement as Element

from retrieval.parse.common import tables
from retrieval.parse.office.word.styles import switched_on

NOTES = {RELATIONSHIP_TYPE.FOOTNOTES: "footnotes", RELATIONSHIP_TYPE.ENDNOTES: "endnotes"}
SEPARATORS = ("separator", "continuationSeparator", "continuationNotice")
IDENTIFIER, KIND, RELATION = map(qn, ("w:id", "w:type", "r:id"))
COMMENT_START, COMMENT_END, TEXT = map(qn, ("w:commentRangeStart", "w:commentRangeEnd", "w:t"))
MAX_QUOTE = 80  # characters of the text that a comment is on


@dataclass(frozen=True, slots=True)
class Comment:
    part: Part
    element: Element
    title: str  # such as: Comment by Ada on “three weeks”


def headers_and_footers(document: Document) -> tuple[list[Part], list[Part]]:
    """Those that are printed, in the order of the sections."""
    even = bool(switched_on(document.settings.element.find(qn("w:evenAndOddHeaders"))))
    headers, footers = list[Part](), list[Part]()
    for section in document.element.body.iter(qn("w:sectPr")):
        first = bool(switched_on(section.find(qn("w:titlePg"))))
        for reference in section.iterchildren(qn("w:headerReference"), qn("w:footerReference")):
            shown = {"first": first, "even": even}.get(reference.get(KIND, "default"), True)
            part = _related(document.part, reference.get(RELATION, "")) if shown else None
            found = headers if reference.tag == qn("w:headerReference") else footers
            if part is not None and part not in found:
                found.append(part)
    return headers, footers


def notes(document: Document) -> Iterator[tuple[str, Part, str, Element]]:
    """Kind, part, identifier and element of each footnote and endnote."""
    for part, kind in _parts(document, NOTES):
        for note in parse_xml(part.blob):
            if isinstance(note.tag, str) and note.get(KIND, "") not in SEPARATORS:
                yield kind, part, note.get(IDENTIFIER, ""), note


def comments(document: Document) -> Iterator[Comment]:
    quotes = _commented_text(document.element.body)
    for part, _ in _parts(document, {RELATIONSHIP_TYPE.COMMENTS: "comments"}):
        for comment in parse_xml(part.blob).iterchildren(qn("w:comment")):
            author, quote = comment.get(qn("w:author"), "").strip(), quotes.get(comment.get(IDENTIFIER, ""), "")
            by = f" by {author}" if author else ""
            yield Comment(part, comment, f"Comment{by} on “{quote}”" if quote else f"Comment{by}")


def _commented_text(body: Element) -> dict[str, str]:
    """The first characters of what each comment is on."""
    open_, found = dict[str, list[str]](), dict[str, str]()
    for element in body.iter(COMMENT_START, COMMENT_END, TEXT):
        identifier = element.get(IDENTIFIER, "")
        if element.tag == COMMENT_START:
            open_[identifier] = []
        elif element.tag == TEXT:
            for texts in open_.values():
                texts.append(element.text or "")
        elif identifier in open_:
            text = tables.collapse_spaces("".join(open_.pop(identifier)))
            found[identifier] = text if len(text) <= MAX_QUOTE else f"{text[:MAX_QUOTE].rsplit(' ', 1)[0]} …"
    return found


def _parts(document: Document, kinds: dict[str, str]) -> Iterator[tuple[Part, str]]:
    for relation in document.part.rels.values():
        if relation.reltype in kinds and not relation.is_external:
            yield relation.target_part, kinds[relation.reltype]


def _related(part: Part, relation: str) -> Part | None:
    found = part.rels.get(relation)
    return None if found is None or found.is_external else found.target_part
