"""Files that want harm end in a clear reason, and the next file is read as if nothing had been."""

import asyncio
import io
import os
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from retrieval.api import Document, Unreadable
from retrieval.parse.limits import Limits
from retrieval.parse.sandbox import SubprocessParser
from tests.retrieval import samples

LIMITS = Limits(seconds=20, memory_bytes=512 * 2**20, characters=500_000)
LAUGHS = '<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.fixture(scope="module")
def parser() -> Iterator[SubprocessParser]:
    parser = SubprocessParser(LIMITS)
    yield parser
    parser.close()


def parse(parser: SubprocessParser, data: bytes, filename: str) -> Document:
    return asyncio.run(_parse(parser, samples.parts(data, 1 << 20), filename))


async def _parse(parser: SubprocessParser, content: AsyncIterator[bytes], filename: str) -> Document:
    return await parser.parse(content, filename)


def refused(parser: SubprocessParser, data: bytes, filename: str) -> str:
    with pytest.raises(Unreadable) as error:
        parse(parser, data, filename)
    assert parse(parser, b"Still alive.", "next.txt").text == "Still alive."
    return str(error.value)


def bomb(entry: str, size: int) -> bytes:
    """A docx with an entry that unpacks to `size` zeros."""
    target = io.BytesIO(samples.word())
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(entry, "w", force_zip64=True) as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    return target.getvalue()


@pytest.mark.parametrize(
    ("data", "filename", "why"),
    [
        (b"", "a.txt", "empty (0 bytes)"),
        (b" \n\n\t", "a.md", "holds no text"),
        (samples.pdf(1, password="secret"), "a.pdf", "protected with a password"),
        (samples.pdf(1)[:400], "a.pdf", "the PDF is damaged"),
        (b"%PDF-1.7\n" + os.urandom(20_000), "a.pdf", "the PDF is damaged"),
        (samples.image_pdf(), "a.pdf", "the PDF holds no text"),
        (samples.word()[:2000], "a.docx", "damaged archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "a.docx", "protected with a password"),
        (samples.replaced(samples.word(), {"word/document.xml": LAUGHS}), "a.docx", "XML bomb"),
        (samples.replaced(samples.word(), {"word/document.xml": LAUGHS.encode("utf-16")}), "a.docx", "XML bomb"),
        (samples.replaced(samples.slides(), {"ppt/slides/slide1.xml": LAUGHS}), "a.pptx", "XML bomb"),
        (samples.replaced(samples.workbook(), {"xl/sharedStrings.xml": LAUGHS}), "a.xlsx", "XML bomb"),
        (samples.replaced(samples.epub(), {"o/book.opf": LAUGHS}), "a.epub", "XML bomb"),
        (samples.replaced(samples.word(), {"../../etc/passwd": "x"}), "a.docx", "leads out of it"),
        (samples.zipped({"a.zip": samples.zipped({"b.zip": bytes(1000)})}), "a.zip", "no file in the archive can be read"),
        (samples.replaced(samples.word(), {"word/document.xml": "<not xml"}), "a.docx", "damaged"),
        (b"[" * 100_000, "a.json", "nested too deeply"),
        (b"<div>" * 5_000 + b"deep", "a.html", "nested too deeply"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.pdf", "the image is damaged"),
        (b"word " * 500_000, "a.txt", "more than 500,000 characters"),
        (samples.epub({"META-INF/encryption.xml": '<e><CipherReference URI="o/one.xhtml"/></e>'}), "a.epub", "DRM"),
    ],
)
def test_bad_files_end_in_a_reason(parser: SubprocessParser, data: bytes, filename: str, why: str) -> None:
    assert why in refused(parser, data, filename)


def test_zip_bombs_are_not_unpacked(parser: SubprocessParser) -> None:
    began = time.monotonic()
    assert "packed more than 100 to 1" in refused(parser, bomb("word/media/x.bin", 64 << 20), "a.docx")
    assert "would unpack to" in refused(parser, bomb("word/media/x.bin", 256 << 20), "a.docx")
    many = samples.replaced(samples.word(), {f"x/{index}": "" for index in range(10_001)})
    assert "entries" in refused(parser, many, "a.docx")
    assert time.monotonic() - began < 15


def test_a_giant_sheet_ends_at_a_limit(parser: SubprocessParser) -> None:
    row = "<row>" + "<c><v>12345678</v></c>" * 100 + "</row>"
    sheet = f'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{row * 700}</sheetData></worksheet>'
    data = samples.replaced(samples.workbook(), {"xl/worksheets/sheet1.xml": sheet})
    assert "characters of text" in refused(parser, data, "a.xlsx")


def test_a_sheet_that_lies_about_its_size_is_read(parser: SubprocessParser) -> None:
    sheet = (
        '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/><sheetData>'
        '<row r="1"><c r="A1"><v>7</v></c></row><row r="1048576"><c r="XFD1048576"><v>8</v></c></row></sheetData></worksheet>'
    )
    data = samples.replaced(samples.workbook(), {"xl/worksheets/sheet1.xml": sheet})
    assert "| 7 |" in parse(parser, data, "a.xlsx").text


def test_deeply_nested_html_is_read(parser: SubprocessParser) -> None:
    assert parse(parser, b"<div>" * 1500 + b"deep" + b"</div>" * 1500, "a.html").text == "deep"


def test_files_above_the_cap_are_not_taken_in() -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        while True:
            taken += 1 << 20
            yield bytes(1 << 20)

    parser = SubprocessParser(replace(LIMITS, file_bytes=8 << 20))
    with pytest.raises(Unreadable, match="larger than 8 MiB"):
        asyncio.run(_parse(parser, endless(), "a.txt"))
    assert taken <= 9 << 20
    parser.close()


def test_a_source_that_fails_is_passed_on(parser: SubprocessParser) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        asyncio.run(_parse(parser, broken(), "a.txt"))
