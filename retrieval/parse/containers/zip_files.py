"""Zip archives of documents: each file a part under its path."""

from pathlib import PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from retrieval.parse.common import archive
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import decode
from retrieval.parse.dispatch import read_part
from retrieval.parse.limits import ParseError

UTF_8_NAME = 0x800  # flag of an entry
_LITTER = frozenset(("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini", ".git"))


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    """Files are read in the order of their paths; those that cannot be read are left out, with a note."""
    with archive.open_archive(source, builder.limits) as zipped:
        for path, name in sorted((_path(entry), entry.filename) for entry in zipped.infolist() if _is_document(entry)):
            _read_entry(zipped, name, path, builder)
    if not builder.size:
        raise ParseError("no file in the archive can be read", "unsupported_file")


def _read_entry(zipped: ZipFile, name: str, path: str, builder: DocumentBuilder) -> None:
    try:
        data = archive.read_member(zipped, name)
    except ParseError as error:
        builder.add_note(f"{path} was left out: {error}")
        return
    if data:
        read_part(data, path, builder)


def _is_document(entry: ZipInfo) -> bool:
    return not entry.is_dir() and not _LITTER.intersection(PurePosixPath(entry.filename).parts)


def _path(entry: ZipInfo) -> str:
    """Names that are not marked as UTF-8 are in cp437, as zipfile reads them, or, against the standard, in the encoding of the system that
    packed them."""
    name = entry.filename
    if entry.flag_bits & UTF_8_NAME or all(sign < "\x80" or (sign.isalpha() and sign < "\u0180") for sign in name):
        return name
    return decode(name.encode("cp437", "replace")).text
