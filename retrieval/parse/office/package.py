"""Open Packaging containers of all variants, brought into the one form that python-docx, python-pptx and openpyxl read."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from typing import IO

from retrieval.parse.common import archive
from retrieval.parse.limits import Limits

STRICT = b"http://purl.oclc.org/ooxml/"
_STRICT_NAME = re.compile(rb"http://purl\.oclc\.org/ooxml/(\w+)/(\w+)")
_RENAMED = {b"extendedProperties": b"extended-properties", b"customProperties": b"custom-properties"}  # in the transitional variant
# main parts of macro-enabled files, templates and slide shows, and what the libraries take them for
_TYPES = (
    (b"application/vnd.ms-word.document.macroEnabled.main+xml", b"wordprocessingml.document"),
    (b"application/vnd.ms-word.template.macroEnabledTemplate.main+xml", b"wordprocessingml.document"),
    (b"application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml", b"wordprocessingml.document"),
    (b"application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml", b"presentationml.presentation"),
    (b"application/vnd.ms-powerpoint.template.macroEnabled.main+xml", b"presentationml.presentation"),
    (b"application/vnd.ms-powerpoint.slideshow.macroEnabled.main+xml", b"presentationml.presentation"),
    (b"application/vnd.openxmlformats-officedocument.presentationml.template.main+xml", b"presentationml.presentation"),
    (b"application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml", b"presentationml.presentation"),
)
_EMPTY_FILL = re.compile(rb"<(\w+:)?fill\s*(?:/>|></(?:\w+:)?fill>)")  # which openpyxl takes for a fault
_RELATION = re.compile(rb"<(?:\w+:)?Relationship\s[^>]*?/>", re.S)
_ATTRIBUTE = re.compile(rb"""\b(Target|TargetMode)\s*=\s*(?:"([^"]*)"|'([^']*)')""")


def normalise(source: IO[bytes], limits: Limits) -> IO[bytes]:
    """The package with transitional names, without macro and template types, relationships to missing parts and empty fills: `source`, or a
    copy if something had to be changed. Raises ParseError for what archive.open_archive and archive.forbid_doctype refuse."""
    with archive.open_archive(source, limits) as zipped:
        archive.forbid_doctype(zipped)
        changed = dict(_changed(zipped))
        if changed:
            return _copy(zipped, changed)
    source.seek(0)
    return source


def _changed(zipped: zipfile.ZipFile) -> Iterator[tuple[str, bytes]]:
    names = {name.casefold() for name in zipped.namelist()}
    for name in zipped.namelist():
        if not name.endswith((".xml", ".rels")):
            continue
        before = archive.read_member(zipped, name)
        after = _STRICT_NAME.sub(_transitional, before) if STRICT in before else before
        if name == "[Content_Types].xml":
            after = _with_plain_types(after)
        if name == "xl/styles.xml":
            after = _EMPTY_FILL.sub(rb"<\1fill><\1patternFill/></\1fill>", after)
        if name.endswith(".rels"):
            after = _RELATION.sub(lambda found: b"" if _dangles(found[0], name, names) else found[0], after)  # noqa: B023 used at once
        if after != before:
            yield name, after


def _transitional(found: re.Match[bytes]) -> bytes:
    family, rest = found[1], found[2]
    return b"http://schemas.openxmlformats.org/%s/2006/%s" % (family, _RENAMED.get(rest, rest))


def _with_plain_types(types: bytes) -> bytes:
    for special, plain in _TYPES:
        types = types.replace(special, b"application/vnd.openxmlformats-officedocument.%s.main+xml" % plain)
    return types


def _dangles(relation: bytes, rels: str, names: set[str]) -> bool:
    values = {name: double or single for name, double, single in _ATTRIBUTE.findall(relation)}
    target = values.get(b"Target", b"").decode("utf-8", "replace").partition("#")[0]
    if values.get(b"TargetMode") == b"External" or not target:
        return False
    folder = posixpath.dirname(posixpath.dirname(rels))
    return posixpath.normpath(posixpath.join("/", folder, target)).lstrip("/").casefold() not in names


def _copy(zipped: zipfile.ZipFile, changed: dict[str, bytes]) -> IO[bytes]:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as copy:
        for name in dict.fromkeys(zipped.namelist()):
            copy.writestr(name, changed[name] if name in changed else archive.read_member(zipped, name))
    target.seek(0)
    return target
