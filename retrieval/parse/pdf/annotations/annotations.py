"""Annotations of a PDF page (ISO 32000-1, 12.5): form fields, links, comments, and whatever else is drawn over the page."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

import pypdfium2 as pdfium
import pypdfium2.raw as raw

from retrieval.parse.pdf.attachments import Attachment, of_annotation
from retrieval.parse.pdf.page.geometry import Box

HIDDEN, NO_VIEW, PASSWORD = 1 << 1, 1 << 5, 1 << 13  # flags of annotations and of text fields
MAX_ANNOTATIONS = 5_000  # of a page
MAX_TEXT = 100_000  # bytes of a value or comment


class Control(Enum):
    TEXT = "text"  # also choices
    SWITCH = "switch"  # check boxes and radio buttons


@dataclass(frozen=True, slots=True)
class Field:
    """A visible form field. `value`: of a switch its export value where it is on, else empty."""

    name: str  # what the form calls it: the tooltip or the technical name
    value: str
    control: Control
    box: Box


@dataclass(frozen=True, slots=True)
class Link:
    target: str
    boxes: tuple[Box, ...]


@dataclass(frozen=True, slots=True)
class Comment:
    """The text of any other annotation. `drawn`: it is meant to be seen on the page, not in a window beside it."""

    author: str
    text: str
    drawn: bool
    box: Box


Annotation = Field | Link | Comment | Attachment

_SWITCHES = (raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON)
_CHOICES = (raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX)
_DRAWN = (raw.FPDF_ANNOT_FREETEXT, raw.FPDF_ANNOT_STAMP, raw.FPDF_ANNOT_WATERMARK)


def annotations(document: pdfium.PdfDocument, number: int) -> tuple[pdfium.PdfPage, list[Annotation]]:
    """The page, with what its annotations draw as part of its content, and what is read from them. Raises PdfiumError."""
    page = document[number]
    count = min(raw.FPDFPage_GetAnnotCount(page), MAX_ANNOTATIONS)
    if not count:
        return page, []
    found, fields, drawn = list[Annotation](), list[int](), False
    for index in range(count):
        annotation = raw.FPDFPage_GetAnnot(page, index)
        if annotation:
            drawn |= _read(page, annotation, index, found, fields)
            raw.FPDFPage_CloseAnnot(annotation)
    if drawn:
        _flatten(page, fields)
        page.close()
        page = document[number]  # only then its content is the new one
    return page, found


def _read(page: pdfium.PdfPage, annotation: object, index: int, found: list[Annotation], fields: list[int]) -> bool:
    """Appends to `found`, and to `fields` the index of a field. Whether the annotation draws text of its own."""
    if raw.FPDFAnnot_GetFlags(annotation) & (HIDDEN | NO_VIEW):
        return False
    match raw.FPDFAnnot_GetSubtype(annotation):
        case raw.FPDF_ANNOT_WIDGET:
            field = _field(page, annotation)
            if field:
                fields.append(index)
                found.append(field)
            return field is None and _has_appearance(annotation)
        case raw.FPDF_ANNOT_LINK:
            _add_link(found, _link(page, annotation))
            return False
        case raw.FPDF_ANNOT_POPUP:
            return False
        case kind:
            text = _string(annotation, b"Contents").strip()
            if text:
                found.append(Comment(_string(annotation, b"T"), text, kind in _DRAWN, _box(annotation)))
            if kind == raw.FPDF_ANNOT_FILEATTACHMENT and (attachment := of_annotation(page.pdf, annotation)):
                found.append(attachment)
            return kind not in (raw.FPDF_ANNOT_TEXT, raw.FPDF_ANNOT_FILEATTACHMENT) and _has_appearance(annotation)


def _flatten(page: pdfium.PdfPage, fields: list[int]) -> None:
    """Makes annotations part of the content, but for the fields: their values are known."""
    for index in reversed(fields):
        raw.FPDFPage_RemoveAnnot(page, index)
    raw.FPDFPage_Flatten(page, raw.FLAT_NORMALDISPLAY)


def _field(page: pdfium.PdfPage, annotation: object) -> Field | None:
    """None for buttons, signatures, and where the document has no form."""
    form = page.formenv
    if form is None:
        return None
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _SWITCHES:
        on = raw.FPDFAnnot_IsChecked(form, annotation) or _string(annotation, b"AS") not in ("", "Off")
        value = (_form_text(raw.FPDFAnnot_GetFormFieldExportValue, form, annotation) or "Yes") if on else ""
        control = Control.SWITCH
    elif kind in _CHOICES:
        value, control = _choice(form, annotation), Control.TEXT
    elif kind == raw.FPDF_FORMFIELD_TEXTFIELD:
        secret = raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & PASSWORD
        value, control = "" if secret else _form_text(raw.FPDFAnnot_GetFormFieldValue, form, annotation), Control.TEXT
    else:
        return None
    name = _form_text(raw.FPDFAnnot_GetFormFieldAlternateName, form, annotation) or _form_text(
        raw.FPDFAnnot_GetFormFieldName, form, annotation
    )
    return Field(name, value.strip(), control, _box(annotation))


def _choice(form: object, annotation: object) -> str:
    """The labels of the selected options, or a text that the user typed instead."""
    chosen = [
        _text(lambda buffer, size, index=index: raw.FPDFAnnot_GetOptionLabel(form, annotation, index, buffer, size))
        for index in range(min(max(raw.FPDFAnnot_GetOptionCount(form, annotation), 0), MAX_ANNOTATIONS))
        if raw.FPDFAnnot_IsOptionSelected(form, annotation, index)
    ]
    return ", ".join(filter(None, chosen)) or _form_text(raw.FPDFAnnot_GetFormFieldValue, form, annotation)


def _link(page: pdfium.PdfPage, annotation: object) -> Link | None:
    link = raw.FPDFAnnot_GetLink(annotation)
    action = raw.FPDFLink_GetAction(link) if link else None
    if not action or raw.FPDFAction_GetType(action) != raw.PDFACTION_URI:
        return None
    size = raw.FPDFAction_GetURIPath(page.pdf, action, None, 0)
    if not 1 < size <= MAX_TEXT:
        return None
    buffer = ctypes.create_string_buffer(size)
    raw.FPDFAction_GetURIPath(page.pdf, action, buffer, size)
    target = buffer.value.decode("utf-8", "replace").strip()
    return Link(target, tuple(_quads(annotation)) or (_box(annotation),)) if target else None


def _add_link(found: list[Annotation], link: Link | None) -> None:
    """Links of one target that follow each other are one link on several lines."""
    match found[-1] if found else None, link:
        case (Link(target=before, boxes=boxes), Link(target=target)) if before == target:
            found[-1] = Link(target, (*boxes, *link.boxes))
        case _, Link():
            found.append(link)
        case _:
            pass


def _quads(annotation: object) -> Iterator[Box]:
    quad = raw.FS_QUADPOINTSF()
    for index in range(min(raw.FPDFAnnot_CountAttachmentPoints(annotation), 100)):
        if raw.FPDFAnnot_GetAttachmentPoints(annotation, index, quad):
            xs, ys = (quad.x1, quad.x2, quad.x3, quad.x4), (quad.y1, quad.y2, quad.y3, quad.y4)
            yield min(xs), min(ys), max(xs), max(ys)


def _box(annotation: object) -> Box:
    rect = raw.FS_RECTF()
    raw.FPDFAnnot_GetRect(annotation, rect)
    return min(rect.left, rect.right), min(rect.bottom, rect.top), max(rect.left, rect.right), max(rect.bottom, rect.top)


def _has_appearance(annotation: object) -> bool:
    return raw.FPDFAnnot_GetAP(annotation, raw.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0) > 2


def _string(annotation: object, key: bytes) -> str:
    return _text(lambda buffer, size: raw.FPDFAnnot_GetStringValue(annotation, key, buffer, size))


def _form_text(get: Callable[..., int], form: object, annotation: object) -> str:
    return _text(lambda buffer, size: get(form, annotation, buffer, size))


def _text(get: Callable[[object, int], int]) -> str:
    """Calls a function of PDFium twice: for the size in bytes, then for the text in UTF-16."""
    size = get(None, 0)
    if not 2 < size <= MAX_TEXT:
        return ""
    buffer = ctypes.create_string_buffer(size)
    get(ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").replace("\r\n", "\n").replace("\r", "\n")
