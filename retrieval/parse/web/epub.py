"""EPUB: the chapters in reading order."""

import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from typing import IO
from urllib.parse import unquote
from xml.etree.ElementTree import Element
from zipfile import ZipFile

import defusedxml.ElementTree as defused
from defusedxml import DefusedXmlException

from retrieval.parse.common import archive
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.common.decoding.decode import read_text
from retrieval.parse.limits import ParseError
from retrieval.parse.web import html

CONTAINER, ENCRYPTION = "META-INF/container.xml", "META-INF/encryption.xml"
MAX_HEAD = 20_000  # characters of a chapter that name style sheets
_SHEET = re.compile(r"""<link\b[^>]*?\bhref=["']([^"'#?]+\.css)["']""", re.I)
CHAPTERS = ("application/xhtml+xml", "text/html")


def read(source: IO[bytes], builder: DocumentBuilder) -> None:
    with archive.open_archive(source, builder.limits) as zipped:
        package = _package(zipped)
        book = _xml(zipped, package)
        builder.set_title(next((item.text for item in book.iterfind(".//{*}title")), None))
        encrypted = _encrypted(zipped)
        for name in _chapters(book, dirname(package)):
            if name in encrypted:
                raise ParseError("the book is protected against copying (DRM)")
            builder.set_headings(())
            text = read_text(archive.read_member(zipped, name), builder.add_note, declared=True)
            html.write(text, builder, _sheets(zipped, name, text))


def _sheets(zipped: ZipFile, chapter: str, text: str) -> dict[str, str]:
    """The style sheets that a chapter links to, by the names that it uses."""
    names = set(zipped.namelist())
    found = {href: normpath(join(dirname(chapter), unquote(href))) for href in _SHEET.findall(text[:MAX_HEAD])}
    return {href: archive.read_member(zipped, name).decode("utf-8", "replace") for href, name in found.items() if name in names}


def _package(zipped: ZipFile) -> str:
    root = next(_xml(zipped, CONTAINER).iterfind(".//{*}rootfile"), None)
    if root is None or not root.get("full-path"):
        raise ParseError("the book is damaged: it does not say where it begins")
    return root.get("full-path", "")


def _chapters(book: Element, folder: str) -> Iterator[str]:
    """Paths in the archive, each once: a book may list a chapter any number of times."""
    items = {item.get("id"): item for item in book.iterfind("./{*}manifest/{*}item")}
    named = (items.get(reference.get("idref")) for reference in book.iterfind("./{*}spine/{*}itemref"))
    chapters = (item for item in named if item is not None and item.get("media-type") in CHAPTERS)
    return iter(dict.fromkeys(normpath(join(folder, unquote(item.get("href", "")))) for item in chapters))


def _encrypted(zipped: ZipFile) -> set[str]:
    if ENCRYPTION not in zipped.namelist():
        return set()
    return {unquote(item.get("URI", "")) for item in _xml(zipped, ENCRYPTION).iterfind(".//{*}CipherReference")}


def _xml(zipped: ZipFile, name: str) -> Element:
    """Accepts a document type declaration, which older books have, but no entity declarations."""
    try:
        return defused.fromstring(archive.read_member(zipped, name))
    except DefusedXmlException as error:
        raise ParseError(f"the file declares entities in {name}, as an XML bomb does") from error
    except defused.ParseError as error:
        raise ParseError(f"the file is damaged: {name} is not XML ({error})") from error
