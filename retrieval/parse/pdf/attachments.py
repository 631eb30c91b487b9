"""Files attached to a PDF: to the document, as in a portfolio, or to a place on a page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.dispatch import read_part

MAX_ATTACHMENTS = 1_000


@dataclass(frozen=True, slots=True)
class Attachment:
    name: str
    data: bytes


def read_attachments(document: pdfium.PdfDocument, on_pages: Sequence[Attachment], builder: DocumentBuilder) -> None:
    """As parts of the document, each once. What cannot be read is named in a note."""
    for attachment in dict.fromkeys((*_of_document(document), *on_pages)):
        if attachment.data:
            read_part(attachment.data, attachment.name, builder)
        else:
            builder.add_note(f"{attachment.name} was left out: it is empty, or not in the file")


def attachment_of(found: pdfium.PdfAttachment) -> Attachment:
    """Empty where the PDF only names the file."""
    try:
        data = bytes(found.get_data())
    except pdfium.PdfiumError:
        data = b""
    return Attachment(found.get_name() or "unnamed", data)


def of_annotation(document: pdfium.PdfDocument, annotation: object) -> Attachment | None:
    found = raw.FPDFAnnot_GetFileAttachment(annotation)
    return attachment_of(pdfium.PdfAttachment(found, document)) if found else None


def _of_document(document: pdfium.PdfDocument) -> Iterator[Attachment]:
    for index in range(min(document.count_attachments(), MAX_ATTACHMENTS)):
        try:
            yield attachment_of(document.get_attachment(index))
        except pdfium.PdfiumError:
            continue
