"""Reads a page of a PDF: its lines and ruled tables, with form fields, links and comments."""

from dataclasses import dataclass, replace

import pypdfium2 as pdfium

from retrieval.parse.pdf.annotations.annotations import Annotation, Comment, Field, Link, annotations
from retrieval.parse.pdf.annotations.fields import with_fields
from retrieval.parse.pdf.annotations.links import with_targets
from retrieval.parse.pdf.page.geometry import IDENTITY, Box, Matrix, apply
from retrieval.parse.pdf.page.lines import Line, merged
from retrieval.parse.pdf.page.objects import drawn
from retrieval.parse.pdf.page.text import page_text
from retrieval.parse.pdf.tables.arrange import with_ruled_tables
from retrieval.parse.pdf.tables.ruled import ruled_grids
from retrieval.parse.pdf.tables.table import Item


@dataclass(frozen=True, slots=True)
class PageContent:
    items: list[Item]
    after: tuple[str, ...]  # comments and targets of links, which belong to the page but to no place in its text
    box: Box  # of the page as it is shown
    hidden: bool  # text that nobody can see was left out
    image_share: float  # of the page that its largest image covers


def read_page(document: pdfium.PdfDocument, number: int) -> PageContent:
    """`number` from 0. Raises PdfiumError for a damaged page."""
    page, notes = annotations(document, number)
    seen = drawn(page)
    grids = ruled_grids(seen.rules)
    text = page_text(page, seen.hidden, [grid.box for grid in grids] + [box for note in notes for box in _places(note)])
    matrix = text.matrix
    found = with_fields(text.lines, [replace(note, box=apply(matrix, note.box)) for note in notes if isinstance(note, Field)])
    found, targets = with_targets(found, [_turned(note, matrix) for note in notes if isinstance(note, Link)])
    comments = _comments([note for note in notes if isinstance(note, Comment)], found)
    items = with_ruled_tables(found, grids if matrix is IDENTITY else ruled_grids([apply(matrix, rule) for rule in seen.rules]))
    box = apply(matrix, page.get_bbox())
    share = max((_share(image, page.get_bbox()) for image in seen.images), default=0.0)
    page.close()
    listed = ("\n".join(f"- {target}" for target in targets),) if targets else ()
    kept = [merged(item) if isinstance(item, Line) else item for item in items]
    return PageContent(kept, (*comments, *listed), box, bool(seen.hidden), share)


def _places(note: Annotation) -> tuple[Box, ...]:
    match note:
        case Link(boxes=boxes):
            return boxes
        case Field(box=box):
            return (box,)
        case Comment():
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


def _share(image: Box, page: Box) -> float:
    width = min(image[2], page[2]) - max(image[0], page[0])
    height = min(image[3], page[3]) - max(image[1], page[1])
    area = (page[2] - page[0]) * (page[3] - page[1])
    return max(width, 0) * max(height, 0) / area if area > 0 else 0.0
