"""Forms in XFA (Adobe XML Forms Architecture), whose values stand in an XML packet of the PDF."""

import ctypes
from collections.abc import Iterator
from itertools import islice

import defusedxml.ElementTree as defused
import pypdfium2 as pdfium
import pypdfium2.raw as raw
from defusedxml import DefusedXmlException

from retrieval.parse.common.builder import DocumentBuilder

NOTE = "the PDF is a form in XFA, which few programs show: its values were read with the names that they have in the file"
MAX_BYTES = 20_000_000  # of a packet
MAX_NAME = 256  # bytes of a packet's name
MAX_VALUES = 20_000


def read_xfa(document: pdfium.PdfDocument, builder: DocumentBuilder) -> None:
    """Adds the values of a form that only XFA draws; others have fields on their pages."""
    if document.get_formtype() != raw.FORMTYPE_XFA_FULL:
        return
    builder.add_note(NOTE)
    values = (f"{name}: {value}" for name, value in _values(_packet(document, b"datasets")))
    builder.add_block("paragraph", "\n".join(islice(values, MAX_VALUES)))


def _values(packet: bytes) -> Iterator[tuple[str, str]]:
    """Names and values of the elements without children."""
    try:
        root = defused.fromstring(packet, forbid_dtd=True) if packet else None
    except (defused.ParseError, DefusedXmlException):
        return
    for element in root.iter() if root is not None else ():
        value = " ".join((element.text or "").split())
        if value and not len(element):
            yield str(element.tag).rpartition("}")[2], value


def _packet(document: pdfium.PdfDocument, wanted: bytes) -> bytes:
    for index in range(max(raw.FPDF_GetXFAPacketCount(document), 0)):
        name = ctypes.create_string_buffer(MAX_NAME)
        if raw.FPDF_GetXFAPacketName(document, index, name, MAX_NAME) <= MAX_NAME and name.value == wanted:
            return _content(document, index)
    return b""


def _content(document: pdfium.PdfDocument, index: int) -> bytes:
    size = ctypes.c_ulong()
    if not raw.FPDF_GetXFAPacketContent(document, index, None, 0, size) or not 0 < size.value <= MAX_BYTES:
        return b""
    buffer = ctypes.create_string_buffer(size.value)
    raw.FPDF_GetXFAPacketContent(document, index, buffer, size.value, size)
    return buffer.raw
