"""Detects a file's format from its first bytes, and from its name only where those are ambiguous."""

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from retrieval.parse import formats
from retrieval.parse.common import archive
from retrieval.parse.common.decoding.detect import detect
from retrieval.parse.limits import Limits, ParseError

HEAD_SIZE = 8192  # bytes
_MARKUP = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)

IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*")  # first bytes
IMAGES_LIKE_TEXT = (b"GIF87a", b"GIF89a", b"BM")  # a text may begin so, too
# unsupported formats: first bytes, and the name used in the error message
UNSUPPORTED = (
    (b"RIFF", "a sound or a film"),
    (b"\0\0\0\x18ftyp", "a film"),
    (b"\0\0\0\x20ftyp", "a film"),
    (b"ID3", "a sound"),
    (b"OggS", "a sound or a film"),
    (b"fLaC", "a sound"),
    (b"\x1a\x45\xdf\xa3", "a film"),
    (b"\x1f\x8b", "a gzip archive: unpack it and add what it holds"),
    (b"BZh", "a bzip2 archive: unpack it and add what it holds"),
    (b"\xfd7zXZ", "an xz archive: unpack it and add what it holds"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive: unpack it and add what it holds"),
    (b"7z\xbc\xaf", "a 7-Zip archive: unpack it and add what it holds"),
    (b"Rar!", "a RAR archive: unpack it and add what it holds"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"SQLite format 3\0", "a SQLite database"),
)
TEXT_LIKE = frozenset(("html", "code", "markdown"))  # kinds whose files are taken for one another without a note
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_IWORK = (".pages", ".numbers", ".key")
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_BITMAP = re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.S)  # a BMP's header; might be taken for text in UTF-16
_PDF_OBJECT = re.compile(rb"%PDF-\d\.\d\s[\s\S]*?\b\d+\s+\d+\s+obj\b")
_POSTSCRIPT = re.compile(rb"%!PS(?:-Adobe-\d\.\d[^\r\n]*)?[\r\n]")
_RTF = re.compile(rb"\s*\{\\rtf1?\s*(?:\\[a-z]+|\{)")
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml\s")
_FIELDS = re.compile(rb"(?:From [^\r\n]*\r?\n)?(?:[A-Za-z][\w-]*:[^\r\n]*\r?\n(?:[ \t][^\r\n]*\r?\n)*)+")
_MAIL_FIELD = re.compile(rb"^(from|to|date|subject|received|message-id|mime-version|return-path|delivered-to):", re.M)
TEXT_KINDS = frozenset(("text", "markdown", "sheets", "data", "code", "html", "mail", "rtf", "rst", "asciidoc", "org", "latex", "xml"))
_FLAT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<office:document\s", re.S)  # OpenDocument as one XML file
_OLD_EXCEL = (b"\x09\x00\x04\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00")  # 2 to 4, whose files are bare records
_OLE_STREAMS = (
    ("__properties_version1.0", "outlook"),
    ("WordDocument", "old_word"),
    ("PowerPoint Document", "old_slides"),
    ("Workbook", "binary_workbook"),
    ("Book", "binary_workbook"),
)
_FORMAT_NAMES = {
    "pdf": "PDF",
    "word": "Word",
    "slides": "PowerPoint",
    "workbook": "Excel",
    "opendocument": "OpenDocument",
    "old_word": "Word",
    "old_slides": "PowerPoint",
    "binary_workbook": "Excel",
    "epub": "EPUB",
    "html": "HTML",
    "rtf": "RTF",
    "xml": "XML",
    "mail": "e-mail",
    "outlook": "an Outlook message",
    "zip": "a zip archive",
    "text": "plain text",
    "image": "an image",
}


@dataclass(frozen=True, slots=True)
class SniffedFormat:
    kind: str  # a key of FORMATS
    note: str = ""  # warning if the file name suggests another format


def sniff(source: IO[bytes], filename: str, limits: Limits) -> SniffedFormat:
    """Leaves `source` at its beginning. Raises ParseError for unsupported formats."""
    head = source.read(HEAD_SIZE)
    kind = _kind(source, head, filename, limits)
    source.seek(0)
    named_kind = formats.KIND_BY_EXTENSION.get(_suffix(filename), "")
    if named_kind in ("", kind) or {kind, named_kind} <= TEXT_LIKE:
        return SniffedFormat(kind)
    return SniffedFormat(
        kind, f"the name ends in {_suffix(filename)}, but the file is {_FORMAT_NAMES.get(kind, kind)} and was read as such"
    )


def _kind(source: IO[bytes], head: bytes, filename: str, limits: Limits) -> str:
    suffix = _suffix(filename)
    named_kind = formats.KIND_BY_EXTENSION.get(suffix, "")
    if _is_pdf(head, named_kind):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_in_zip(source, suffix, limits)
    if head.startswith(_OLE):
        return _kind_in_ole(source)
    if head.startswith(_OLD_EXCEL):
        return "binary_workbook"
    if _FLAT.match(head):
        return "opendocument"
    is_text = detect(head, complete=len(head) < HEAD_SIZE) is not None
    if _is_image(head, is_text=is_text):
        return "image"
    for magic, name in UNSUPPORTED:
        if head.startswith(magic) and not (is_text and magic.isascii()):
            raise ParseError(f"the file is {name}", "unsupported_file")
    if not is_text:
        raise ParseError(f"nothing here reads files like this one ({suffix or 'no ending'}): it is not text", "unsupported_file")
    if _POSTSCRIPT.match(head) and named_kind not in TEXT_KINDS:
        raise ParseError("the file is a PostScript document: save it as .pdf", "unsupported_file")
    return _text_kind(head, named_kind)


def _is_image(head: bytes, *, is_text: bool) -> bool:
    if head.startswith(IMAGES) or _BITMAP.match(head):
        return True
    return not is_text and (head.startswith(IMAGES_LIKE_TEXT) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP"))


def _is_pdf(head: bytes, named_kind: str) -> bool:
    """Some programs put other lines before a PDF, but a text may well name its first bytes."""
    at = head[:1024].find(b"%PDF-")
    if at < 0 or named_kind == "pdf":
        return at >= 0
    is_start = not head[:at].lstrip(b"\xef\xbb\xbf \t\r\n") or named_kind not in TEXT_KINDS
    return is_start and bool(_PDF_OBJECT.search(head, at))


def _kind_in_zip(source: IO[bytes], suffix: str, limits: Limits) -> str:
    kind = archive.kind(source, limits)
    if kind == "zip" and suffix in _IWORK:
        raise ParseError("the file is of Apple's iWork: export it as .docx, .xlsx, .pptx or .pdf", "unsupported_file")
    return kind


def _kind_in_ole(source: IO[bytes]) -> str:
    """Of an OLE container, which holds Outlook messages, Office 97 files and encrypted Office files."""
    from olefile import OleFileIO  # needed for these files only

    source.seek(0)
    with suppress(OSError, ValueError, IndexError, TypeError), OleFileIO(source) as ole:  # raised for a damaged container
        for stream, kind in _OLE_STREAMS:
            if ole.exists(stream) and not ole.exists("EncryptedPackage"):
                return kind
    source.seek(0)
    if _ENCRYPTED in source.read(2**20):
        raise ParseError("the file is protected with a password: save it without one")
    raise ParseError(
        "the file is of a format of old programs that nobody here reads: save it as .docx, .xlsx, .pptx or .pdf", "unsupported_file"
    )


def _text_kind(head: bytes, named_kind: str) -> str:
    if _RTF.match(head) and (named_kind in ("rtf", "text") or named_kind not in TEXT_KINDS):
        return "rtf"
    if named_kind in TEXT_KINDS and named_kind not in ("text", "rtf"):
        return named_kind
    if _MARKUP.match(head):
        return "html"
    if named_kind in TEXT_KINDS:
        return "text"
    return "xml" if _XML.match(head) else "mail" if _is_mail(head) else "text"


def _is_mail(head: bytes) -> bool:
    """Whether it begins with a message's header."""
    fields = _FIELDS.match(head)
    return fields is not None and len(set(_MAIL_FIELD.findall(fields[0].lower()))) >= 3


def _suffix(filename: str) -> str:
    return PurePosixPath(filename).suffix.lower()
