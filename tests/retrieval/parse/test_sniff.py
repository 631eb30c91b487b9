"""What a file is, is known from its content; text that only names other formats stays text."""

import pytest

from retrieval.parse.limits import ParseError
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed

PS = b"%!PS-Adobe-3.0\n%%Title: x\n/Helvetica findfont\n"


@pytest.mark.parametrize("ending", ["txt", "md", "log", "html", "unknown", ""])
@pytest.mark.parametrize(
    "text",
    [
        "A PDF begins with %PDF-1.7 and a ZIP with PK.",
        "%PDF-1.7 is the version line.",
        "GIF89a is the version with transparency.",
        "ID3 tags hold titles.",
        "OggS begins a page.",
        "Rar! is its mark.",
        "%!PS is the first line of PostScript.",
        "fLaC and RIFF are marks.",
        "BMW builds cars.",
        "MZ stands for Mark Zbikowski.",
        "BZh is bzip2.",
        "SQLite format 3 is its head.",
        "7z and PK are archives.",
        "{\\rtf is how it begins",
    ],
)
def test_text_that_names_other_formats_is_text(text: str, ending: str) -> None:
    assert parsed(text, f"a.{ending}" if ending else "a").text == text


def test_source_code_that_names_other_formats_is_code() -> None:
    assert parsed('MAGIC = {b"%PDF-": "pdf", b"PK": "zip"}\n', "detect.py").media_type == "text/x-source"
    assert parsed("# PDF\n\n    %PDF-1.4\n    1 0 obj\n    << >>\n", "a.md").media_type == "text/markdown"


def test_pdfs_by_any_name() -> None:
    for data, name in ((samples.pdf(1), "a.txt"), (samples.pdf(1), "a"), (b"HTTP/1.1 200 OK\r\n\r\n" + samples.pdf(1), "a.pdf")):
        assert parsed(data, name).media_type == "application/pdf"
    assert parsed(b"x-junk: 1\n\n" + samples.pdf(1), "a.bin").media_type == "application/pdf"


@pytest.mark.parametrize(
    ("data", "name", "why"),
    [
        (PS, "a.ps", "PostScript"),
        (PS, "a", "PostScript"),
        (b"GIF89a\x10\0\x10\0" + bytes(90), "a.txt", "image"),
        (b"ID3\x03\0\0" + bytes(90), "a.txt", "a sound"),
        (b"BM" + bytes(90), "a.txt", "image"),
    ],
)
def test_other_formats_are_refused_by_any_name(data: bytes, name: str, why: str) -> None:
    with pytest.raises(ParseError, match=why):
        parsed(data, name)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_text_without_a_byte_order_mark(codec: str) -> None:
    text = "The spare key is in locker 41. The code is 7781."
    assert parsed(text.encode(codec), "a.txt").text == text
    assert parsed(f"<html><body><p>{text}</p></body></html>".encode(codec), "a.html").text == text
    rows = f"name,code,floor\nkey,{text},2\nlock,9,3\n"
    assert parsed(rows.encode(codec), "a.csv").text == parsed(rows, "a.csv").text


def test_a_log_with_a_few_zero_bytes_is_text() -> None:
    lines = "".join(f"2026-01-02 10:00:{second} started\n" for second in range(10, 60))
    assert parsed(f"{lines}\0\0\0{lines}", "a.log").text == (lines + lines).strip()


def test_texts_by_names_of_other_formats() -> None:
    page = "MIME-Version: 1.0\nDate: Fri, 08 May 2026 09:12:00 +0200\nSubject: x\nContent-Type: text/html\n\n<p>Words</p>"
    assert parsed(page, "a.doc").text.endswith("Words")
    assert parsed("<html><body><table><tr><td>a<td>b</table></body></html>", "a.xls").media_type == "text/html"
    assert parsed('<?xml version="1.0"?><shop><price>12</price></shop>', "a.xls").text == "shop.price: 12"
    assert parsed('<?xml version="1.0"?><rss><channel><item><title>One</title></item></channel></rss>', "feed").text == "One"
