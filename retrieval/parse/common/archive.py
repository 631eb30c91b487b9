"""Zip archives, the container of most office formats, checked before anything is unpacked."""

import io
import zipfile
from pathlib import PurePosixPath
from typing import IO
from zlib import error as ZlibError

import defusedxml.ElementTree as defused
from defusedxml import DefusedXmlException

from retrieval.parse.limits import MIB, Limits, ParseError

RATIO_CHECK_SIZE = 8 * MIB  # bytes; smaller entries do no harm, whatever their compression ratio
_MAIN_PARTS = {
    "word/document.xml": "word",
    "ppt/presentation.xml": "slides",
    "xl/workbook.xml": "workbook",
    "xl/workbook.bin": "binary_workbook",
}
_MAIN_TYPES = (("wordprocessingml.document.main", "word"), ("presentationml.", "slides"), ("spreadsheetml.sheet.main", "workbook"))


def open_archive(source: IO[bytes], limits: Limits) -> zipfile.ZipFile:
    """Raises ParseError if the archive is damaged, exceeds `limits` or has names that lead out of it."""
    try:
        zipped = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError) as error:
        raise ParseError(f"the file is a damaged archive: {error}") from error
    _check(zipped.infolist(), limits)
    return zipped


def kind(source: IO[bytes], limits: Limits) -> str:
    """A key of FORMATS. Raises ParseError for an archive of no supported format."""
    zipped = open_archive(source, limits)
    names = set(zipped.namelist())
    if any(name.startswith("META-INF/") for name in names) and _mimetype(zipped) == "application/epub+zip":
        return "epub"
    for name, found in _MAIN_PARTS.items():
        if name in names:
            return found
    if _mimetype(zipped).startswith("application/vnd.oasis.opendocument"):
        return "opendocument"
    if "[Content_Types].xml" in names:
        return _kind_by_content_types(zipped)
    return "zip"


def read_member(zipped: zipfile.ZipFile, name: str) -> bytes:
    """Raises ParseError if it is missing, encrypted or damaged."""
    try:
        return zipped.read(name)
    except KeyError:
        raise ParseError(f"the file is incomplete: it lacks {name}") from None
    except RuntimeError as error:  # raised by zipfile for an encrypted entry
        raise ParseError("the file is protected with a password: save it without one") from error
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, ZlibError) as error:
        raise ParseError(f"the file is a damaged archive: {error}") from error


def _check(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(entries) > limits.entries:
        raise ParseError(f"the file is an archive of {len(entries):,} entries; {limits.entries:,} are the most")
    total = sum(entry.file_size for entry in entries)
    if total > limits.unpacked_bytes:
        raise ParseError(f"the file would unpack to {total // MIB:,} MiB; {limits.unpacked_bytes // MIB:,} MiB are the most")
    for entry in entries:
        if entry.file_size > RATIO_CHECK_SIZE and entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise ParseError(f"the file holds an entry packed more than {limits.ratio} to 1, as a zip bomb does")
        if entry.filename.startswith(("/", "\\")) or ".." in PurePosixPath(entry.filename.replace("\\", "/")).parts:
            raise ParseError("the file is an archive with a name that leads out of it")


def _mimetype(zipped: zipfile.ZipFile) -> str:
    return read_member(zipped, "mimetype")[:100].decode("ascii", "replace").strip() if "mimetype" in zipped.namelist() else ""


def _kind_by_content_types(zipped: zipfile.ZipFile) -> str:
    """For an office file whose parts do not have the usual names."""
    types = read_member(zipped, "[Content_Types].xml").decode("utf-8", "replace")
    for mark, found in _MAIN_TYPES:
        if mark in types:
            return found
    raise ParseError(
        "the file is an office file of a kind that nobody here reads: save it as .docx, .xlsx, .pptx or .pdf", "unsupported_file"
    )


def forbid_doctype(zipped: zipfile.ZipFile) -> None:
    """Office formats have no document types, whose entities can expand without bound or read files. Raises ParseError."""
    for entry in zipped.infolist():
        if entry.filename.endswith((".xml", ".rels")) and not entry.is_dir():
            _forbid_doctype_in(io.BytesIO(read_member(zipped, entry.filename)), entry.filename)


def forbid_entities(part: bytes, name: str) -> None:
    """Old OpenDocument files have document types, none of which declares entities. Raises ParseError."""
    _forbid_doctype_in(io.BytesIO(part), name, document_types=True)


def _forbid_doctype_in(part: io.BytesIO, name: str, *, document_types: bool = False) -> None:
    """A document type precedes the first element, so nothing after that is parsed."""
    try:
        next(iter(defused.iterparse(part, events=("start",), forbid_dtd=not document_types)), None)
    except DefusedXmlException as error:
        raise ParseError(f"the file declares a document type in {name}, as an XML bomb does") from error
    except defused.ParseError as error:
        raise ParseError(f"the file is damaged: {name} is not XML ({error})") from error
