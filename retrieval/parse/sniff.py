"""Detects a file's format from its first bytes, and from its name only where those are ambiguous."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from retrieval.parse import formats
from retrieval.parse.common import archive
from retrieval.parse.limits import Limits, ParseError

HEAD_SIZE = 8192  # bytes
_MARKUP = re.compile(rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html[\s>])", re.I | re.S)

# unsupported formats: first bytes, and the name used in the error message
UNSUPPORTED = (
    (b"\x89PNG\r\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"BM", "a BMP image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"RIFF", "an image, a sound or a film"),
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
    (b"{\\rtf", "an RTF document: save it as .docx or .pdf"),
    (b"%!PS", "a PostScript document: save it as .pdf"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_FORMAT_NAMES = {
    "pdf": "PDF",
    "word": "Word",
    "slides": "PowerPoint",
    "workbook": "Excel",
    "epub": "EPUB",
    "html": "HTML",
    "text": "plain text",
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
    if named_kind in ("", kind) or {kind, named_kind} <= {"html", "code", "markdown"}:
        return SniffedFormat(kind)
    return SniffedFormat(
        kind, f"the name ends in {_suffix(filename)}, but the file is {_FORMAT_NAMES.get(kind, kind)} and was read as such"
    )


def _kind(source: IO[bytes], head: bytes, filename: str, limits: Limits) -> str:
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return archive.kind(source, limits)
    if head.startswith(_OLE):
        raise _old_office(source)
    for magic, name in UNSUPPORTED:
        if head.startswith(magic) and (len(magic) > 2 or b"\0" in head):
            raise ParseError(f"the file is {name}", "unsupported_file")
    if not _is_text(head):
        raise ParseError(f"nothing here reads files like this one ({_suffix(filename) or 'no ending'}): it is not text", "unsupported_file")
    return _text_kind(head, _suffix(filename))


def _old_office(source: IO[bytes]) -> ParseError:
    """The error for an OLE container, which holds Office 97 files and encrypted Office files."""
    source.seek(0)
    if _ENCRYPTED in source.read(2**20):
        return ParseError("the file is protected with a password: save it without one")
    return ParseError("the file is of an old Office format: save it as .docx, .xlsx or .pptx", "unsupported_file")


def _is_text(head: bytes) -> bool:
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return True
    control = sum(head.count(code) for code in (*range(1, 9), *range(14, 27), *range(28, 32)))
    return b"\0" not in head and control * 50 <= len(head)


def _text_kind(head: bytes, suffix: str) -> str:
    kind = formats.KIND_BY_EXTENSION.get(suffix, "")
    if kind in ("markdown", "sheets", "data", "code", "html"):
        return kind
    return "html" if _MARKUP.match(head) else "text"


def _suffix(filename: str) -> str:
    return PurePosixPath(filename).suffix.lower()
