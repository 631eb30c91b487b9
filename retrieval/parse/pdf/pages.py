"""Reads a page of a PDF: its lines and ruled tables, with form fields, links and comments."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pypdfium2 as pdfium

from retrieval.parse.pdf.annotations.annotations import Annotation, Comment, Field, Link, annotations
from retrieval.parse.pdf.annotations.fields import with_fields
from retrieval.parse.pdf.annotations.links import with_targets
from retrieval.parse.pdf.attachments import Attachment
from retrieval.parse.pdf.ocr.tesseract import Recogniser
from retrieval.parse.pdf.page.geometry import IDENTITY, Box, Matrix, apply
from retrieval.parse.pdf.page.lines import Line, merged
from retrieval.parse.pdf.page.objects import drawn
from retrieval.parse.pdf.page.text import page_text
from retrieval.parse.pdf.scans import ImageText, with_text_in_images
from retrieval.parse.pdf.tables.arrange import with_ruled_tables
from retrieval.parse.pdf.tables.ruled import ruled_grids
from retrieval.parse.pdf.tables.table import Item


@dataclass(frozen=True, slots=True)
class PageContent:
    items: list[Item]
    after: tuple[str, ...]  # comments and targets of links, which belong to the page but to no place in its text
    box: Box  # of the page as it is shown
    hidden: bool  # text that nobody can see was left out
    images: ImageText
    attachments: tuple[Attachment, ...] = ()


def read_page(document: pdfium.PdfDocument, number: int, recogniser: Callable[[], Recogniser | None]) -> PageContent:
    """`number` from 0; `recogniser` is opened for pages with images. Raises PdfiumError for a damaged page."""
    page, notes = annotations(document, number)
    try:
        return _content(page, notes, recogniser)
    finally:
        page.close()


def _content(page: pdfium.PdfPage, notes: list[Annotation], recogniser: Callable[[], Recogniser | None]) -> PageContent:
    seen = drawn(page)
    grids = ruled_grids(seen.rules)
    text = page_text(page, seen.hidden, [grid.box for grid in grids] + [box for note in notes for box in _places(note)])
    matrix = text.matrix
    shown = with_text_in_images(page, text.lines, seen, text.matrix, recogniser)
    found = with_fields(shown.lines, [replace(note, box=apply(matrix, note.box)) for note in notes if isinstance(note, Field)])
    found, targets = with_targets(found, [_turned(note, matrix) for note in notes if isinstance(note, Link)])
    comments = _comments([note for note in notes if isinstance(note, Comment)], found)
    items = with_ruled_tables(found, grids if matrix is IDENTITY else ruled_grids([apply(matrix, rule) for rule in seen.rules]))
    attachments = tuple(note for note in notes if isinstance(note, Attachment))
    listed = ("\n".join(f"- {target}" for target in targets),) if targets else ()
    kept = [merged(item) if isinstance(item, Line) else item for item in items]
    return PageContent(kept, (*comments, *listed), shown.box, bool(seen.hidden), shown.images, attachments)


def _places(note: Annotation) -> tuple[Box, ...]:
    match note:
        case Link(boxes=boxes):
            return boxes
        case Field(box=box):
            return (box,)
        case Comment() | Attachment():
            return ()


def _turned(link: Link, matrix: Matrix) -> Link:
    return replace(link, boxes=tuple(apply(matrix, box) for box in link.boxes))


def _comments(comments: list[Comment], found: list[Line]) -> tuple[str, ...]:
    """Those whose text the page does not show already."""
    shown = "".join(_letters(line.text) for line in found) if comments else ""
    return tuple(
        comment.text if comment.drawn else f"Comment{f' ({comment.author})' if comment.author else ''}: {comment.text}"
        for comment in comments
        if not (comment.drawn and _letters(comment.text) in shown)
    )


def _letters(text: str) -> str:
    return "".join(filter(str.isalnum, text))
