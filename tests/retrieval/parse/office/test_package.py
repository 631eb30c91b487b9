"""Variants of Office files: strict, with macros, templates, damaged in ways that word processors forgive."""

import io
import re
import zipfile

import pytest

from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import entry, replaced

STRICT = {b"extended-properties": b"extendedProperties", b"custom-properties": b"customProperties"}
FILES = {"docx": samples.word, "pptx": samples.slides, "xlsx": samples.workbook}


def strict(archive: bytes) -> bytes:
    """With the names of ISO/IEC 29500 Strict."""

    def renamed(found: re.Match[bytes]) -> bytes:
        return b"http://purl.oclc.org/ooxml/%s/%s" % (found[1], STRICT.get(found[2], found[2]))

    with zipfile.ZipFile(io.BytesIO(archive)) as source:
        names = [name for name in source.namelist() if name.endswith((".xml", ".rels"))]
        schema = re.compile(rb"http://schemas\.openxmlformats\.org/((?:office|word|presentation|spreadsheet|drawing)\w+)/2006/([\w-]+)")
        return replaced(archive, {name: schema.sub(renamed, source.read(name)) for name in names})


@pytest.mark.parametrize("ending", FILES)
def test_strict_files_read_as_others(ending: str) -> None:
    archive = FILES[ending]()
    assert b"purl.oclc.org" in entry(strict(archive), "_rels/.rels")
    assert parsed(strict(archive), f"a.{ending}").text == parsed(archive, f"a.{ending}").text


@pytest.mark.parametrize(
    ("ending", "kind"),
    [
        ("docm", b"application/vnd.ms-word.document.macroEnabled.main+xml"),
        ("dotx", b"application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml"),
        ("dotm", b"application/vnd.ms-word.template.macroEnabledTemplate.main+xml"),
        ("pptm", b"application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml"),
        ("potx", b"application/vnd.openxmlformats-officedocument.presentationml.template.main+xml"),
        ("ppsx", b"application/vnd.openxmlformats-officedocument.presentationml.slideshow.main+xml"),
        ("xlsm", b"application/vnd.ms-excel.sheet.macroEnabled.main+xml"),
        ("xltx", b"application/vnd.openxmlformats-officedocument.spreadsheetml.template.main+xml"),
    ],
)
def test_files_with_macros_and_templates(ending: str, kind: bytes) -> None:
    usual = {"d": "docx", "p": "pptx", "x": "xlsx"}[ending[0]]
    archive, types = FILES[usual](), "[Content_Types].xml"
    main = re.compile(rb"application/vnd\.openxmlformats-officedocument\.\w+\.(?:document|presentation|sheet)\.main\+xml")
    made = replaced(archive, {types: main.sub(kind, entry(archive, types))})
    assert kind in entry(made, types)
    read = parsed(made, f"a.{ending}")
    assert read.text == parsed(archive, f"a.{usual}").text and not any("the name ends in" in note for note in read.notes)


def test_relationships_to_missing_parts_are_ignored() -> None:
    archive, rels = samples.word(), "word/_rels/document.xml.rels"
    schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    missing = f'<Relationship Id="rIdX" Type="{schema}/image" Target="NULL"/></Relationships>'
    made = replaced(archive, {rels: entry(archive, rels).decode().replace("</Relationships>", missing)})
    assert parsed(made, "a.docx").text == parsed(archive, "a.docx").text
