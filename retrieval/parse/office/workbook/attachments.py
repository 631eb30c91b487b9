"""What lies on a sheet beside its cells: comments, text boxes, pictures with descriptions, charts, diagrams."""

import re
import zipfile
from collections.abc import Iterator
from typing import Any

from lxml.etree import QName, XMLParser, fromstring
from openpyxl.packaging.relationship import get_dependents, get_rels_path
from openpyxl.utils import get_column_letter

from retrieval.parse.common import archive, tables
from retrieval.parse.common.builder import DocumentBuilder
from retrieval.parse.office.drawing import charts, diagrams
from retrieval.parse.office.drawing.alternatives import alternative_text, understood

Element = Any  # of lxml
Relation = Any  # of openpyxl
_SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_A = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_R = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}"
_THREADED = re.compile(r"\[Threaded comment\].*?\n\s*(?:Comment|Kommentar|Commentaire|Comentario):\s*", re.S)
PARSER = XMLParser(resolve_entities=False, no_network=True)


def relations(zipped: zipfile.ZipFile, part: str) -> list[Relation]:
    """Of a part by its name in the archive; each has Id, Type and target."""
    path = get_rels_path(part)
    return list(get_dependents(zipped, path)) if path in zipped.namelist() else []


def write(zipped: zipfile.ZipFile, sheet: str, builder: DocumentBuilder) -> None:
    """`sheet`: the name of the sheet's part."""
    for relation in relations(zipped, sheet):
        if relation.TargetMode == "External" or relation.target not in zipped.namelist():
            continue
        if relation.Type.endswith("/comments") and relation.target.endswith(".xml"):
            for line in _comments(_root(zipped, relation.target)):
                builder.add_block("paragraph", line)
        elif relation.Type.endswith("/drawing"):
            _drawing(zipped, relation.target, builder)


def _root(zipped: zipfile.ZipFile, part: str) -> Element:
    return fromstring(archive.read_member(zipped, part), PARSER)


def coordinate(row: int, column: int) -> str:
    """Of a cell, from numbers that begin at 1: A1."""
    return f"{get_column_letter(column)}{row}"


def comment_line(author: str, place: str, text: str) -> str:
    """ "" for an empty comment."""
    author = "" if author.startswith("tc=") else author.strip()  # of threaded comments, an identifier
    text = tables.collapse_spaces(_THREADED.sub("", text).removeprefix(f"{author}:"))
    return f"Comment{f' by {author}' if author else ''} on {place}: {text}" if text else ""


def _comments(root: Element) -> Iterator[str]:
    authors = [author.text or "" for author in root.iter(f"{_SHEET}author")]
    for comment in root.iter(f"{_SHEET}comment"):
        text = "".join(run.text or "" for run in comment.iter(f"{_SHEET}t"))
        number = comment.get("authorId", "")
        author = authors[int(number)] if number.isdecimal() and int(number) < len(authors) else ""
        yield comment_line(author, comment.get("ref", ""), text)


def _drawing(zipped: zipfile.ZipFile, part: str, builder: DocumentBuilder) -> None:
    targets = {relation.Id: relation.target for relation in relations(zipped, part) if relation.target in zipped.namelist()}
    for element in _drawn(_root(zipped, part)):
        name = QName(element).localname
        if name == "txBody":
            lines = ("".join(run.text or "" for run in line.iter(f"{_A}t")) for line in element.iter(f"{_A}p"))
            builder.add_block("paragraph", "\n".join(lines))
        elif name == "cNvPr":
            builder.add_block("paragraph", alternative_text(element))
        elif name == "chart" and (target := targets.get(element.get(f"{_R}id", ""))):
            charts.write(_root(zipped, target), builder)
        elif name == "relIds" and (target := targets.get(element.get(f"{_R}dm", ""))):
            builder.add_block("list", "\n".join(diagrams.lines(_root(zipped, target))))


def _drawn(element: Element) -> Iterator[Element]:
    for child in understood(element):
        if QName(child).localname in ("txBody", "cNvPr", "chart", "relIds"):
            yield child
        else:
            yield from _drawn(child)
