"""PDF: the text layer, page by page. Lines are grouped into paragraphs by position; large text and bookmarks give headings."""

import logging
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import IO

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.common.builder import HIDDEN_TEXT_NOTE, DocumentBuilder
from retrieval.parse.limits import ParseError
from retrieval.parse.pdf import layout
from retrieval.parse.pdf.attachments import read_attachments
from retrieval.parse.pdf.furniture import without_furniture
from retrieval.parse.pdf.ocr.tesseract import MISSING, NOTE, Recogniser, open_recogniser
from retrieval.parse.pdf.pages import PageContent, read_page
from retrieval.parse.pdf.pictures import read_pictures
from retrieval.parse.pdf.scans import ImageText
from retrieval.parse.pdf.tables.arrange import in_order
from retrieval.parse.pdf.xfa import read_xfa

_FILENAME_TITLE = re.compile(r"^(?:microsoft \w+ - |untitled|.*\.(?:docx?|indd|tex|dvi|pptx?|xlsx?|pages|qxd|pdf)$)", re.I)
_REASONS = {
    "password": "the PDF is protected with a password: save it without one",
    "security": "the PDF is encrypted in a way nobody here reads",
}
_MAX_BOOKMARKS = 5_000


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    logging.getLogger("pypdfium2").setLevel(logging.CRITICAL)  # it complains of files to whoever reads the log
    document = _open(source)
    if len(document) > builder.limits.pages:
        raise ParseError(f"the PDF has {len(document):,} pages; {builder.limits.pages:,} are the most: split it")
    title = document.get_metadata_value("Title")
    builder.set_title("" if _FILENAME_TITLE.match(title) else title)
    recogniser, before = cache(lambda: open_recogniser(builder.limits)), builder.size
    pages = [_page(document, number, recogniser, builder) for number in range(len(document))]
    images = [page.images for page in pages]
    why_not = _why_not(images, recogniser)
    _note_images(images, why_not, builder)
    kept = without_furniture([page.items for page in pages], [page.box for page in pages])
    layout.write([in_order(page) for page in kept], [page.after for page in pages], _bookmarks(document), builder)
    read_pictures(document, builder)
    builder.page = None
    read_xfa(document, builder)
    read_attachments(document, [attachment for page in pages for attachment in page.attachments], builder)
    if builder.size == before and not builder.pictures:
        raise ParseError(f"the PDF holds images only: {why_not}" if ImageText.UNREAD in images else "the PDF holds no text")


def _why_not(images: Sequence[ImageText], recogniser: Callable[[], Recogniser | None]) -> str:
    """Why text in images was not read; opens nothing where there is none."""
    if all(each is ImageText.NONE for each in images):
        return ""
    return MISSING if recogniser() is None else "recognising the text of so many takes too long, split the PDF"


def _note_images(images: Sequence[ImageText], why_not: str, builder: DocumentBuilder) -> None:
    if read := images.count(ImageText.READ):
        builder.add_note(f"the text of {read} of {len(images)} pages {NOTE}")
    if unread := images.count(ImageText.UNREAD):
        builder.add_note(f"{unread} of {len(images)} pages hold images only, whose text was not read: {why_not}")
    if beside := images.count(ImageText.BESIDE):
        builder.add_note(f"text in large images on {beside} of {len(images)} pages, if there is any, was not read: {why_not}")


def _open(source: IO[bytes]) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(source)
        if document.get_formtype() != raw.FORMTYPE_NONE:
            document.init_forms()
        return document
    except pdfium.PdfiumError as error:
        message = str(error).lower()
        raise ParseError(
            next((reason for word, reason in _REASONS.items() if word in message), "the PDF is damaged: no page of it can be opened")
        ) from error


def _page(document: pdfium.PdfDocument, number: int, recogniser: Callable[[], Recogniser | None], builder: DocumentBuilder) -> PageContent:
    try:
        page = read_page(document, number, recogniser)
    except pdfium.PdfiumError:
        builder.add_note(f"page {number + 1} is damaged and was left out")
        return PageContent([], (), (0, 0, 0, 0), hidden=False, images=ImageText.NONE)
    if page.hidden:
        builder.add_note(HIDDEN_TEXT_NOTE)
    return page


def _bookmarks(document: pdfium.PdfDocument) -> dict[tuple[int, str], int]:
    """Heading level, from 1, by page (from 0) and key of the title."""
    found: dict[tuple[int, str], int] = {}
    for bookmark in document.get_toc():
        target = bookmark.get_dest()
        page = target.get_index() if target else None
        if page is not None:
            found[page, layout.key(bookmark.get_title())] = bookmark.level + 1
        if len(found) >= _MAX_BOOKMARKS:
            break
    return found
