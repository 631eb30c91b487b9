"""Office's old formats: sheets are read as they are, texts and slides after a conversion."""

import asyncio
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from retrieval.api import Document, Unreadable
from retrieval.parse import Limits, SubprocessParser
from tests.packed import document
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed

LIMITS = Limits(seconds=20)


@pytest.fixture(scope="module")
def parser() -> Iterator[SubprocessParser]:
    parser = SubprocessParser(LIMITS, workers=1)
    yield parser
    parser.close()


@pytest.fixture
def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in LibreOffice's place, which does what a test writes into it. Its last arguments: --outdir FOLDER FILE."""
    program = tmp_path / "bin" / "soffice"
    program.parent.mkdir()
    monkeypatch.setenv("PATH", str(program.parent))
    return program


def act(office: Path, script: str) -> None:
    office.write_text(f'#!/bin/sh\nwhile [ $# -gt 2 ]; do shift; done\nmkdir -p "$1"\n{script}\n')
    office.chmod(0o755)


def parse(parser: SubprocessParser, name: str) -> Document:
    return asyncio.run(parser.parse(samples.parts(document(name)), name))


def test_texts_are_read_after_a_conversion(parser: SubprocessParser, office: Path, tmp_path: Path) -> None:
    (tmp_path / "made.docx").write_bytes(samples.word())
    act(office, f'cp "{tmp_path}/made.docx" "$1/original.docx"; cp "$2" "{tmp_path}/seen"; pwd > "{tmp_path}/folder"')
    assert "Everybody has 30 days." in parse(parser, "letter.doc").text
    assert (tmp_path / "seen").read_bytes() == document("letter.doc")
    assert not Path((tmp_path / "folder").read_text().strip()).exists(), "nothing is left behind"


def test_without_libreoffice_texts_are_refused_with_what_to_do(parser: SubprocessParser, office: Path) -> None:
    with pytest.raises(Unreadable, match=r"Word's old format: save it as \.docx, or install LibreOffice") as refused:
        parse(parser, "letter.doc")
    assert refused.value.code == "unsupported_file"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("exit 1", "damaged or protected"),
        ('echo garbage > "$1/original.docx"', "plain text|damaged"),
        ('ln -s /etc/passwd "$1/original.docx"', "damaged or protected"),
        ("while :; do :; done", "takes longer than 1 seconds|damaged or protected"),  # killed by whichever limit comes first
    ],
)
def test_a_conversion_that_fails_ends_in_a_reason(office: Path, script: str, why: str) -> None:
    act(office, script)
    parser = SubprocessParser(replace(LIMITS, seconds=1 if "while" in script else 20), workers=1)
    try:
        made = parse(parser, "letter.doc")
        assert "plain text" in why and made.notes
    except Unreadable as error:
        assert any(part in str(error) for part in why.split("|"))
    finally:
        parser.close()


def test_a_cancelled_conversion_is_killed(parser: SubprocessParser, office: Path, tmp_path: Path) -> None:
    act(office, f'echo $$ > "{tmp_path}/pid"; exec sleep 600')

    async def cancel() -> int:
        task = asyncio.create_task(parser.parse(samples.parts(document("letter.doc")), "a.doc"))
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().strip():
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return int((tmp_path / "pid").read_text())

    process, deadline = asyncio.run(cancel()), time.monotonic() + 20
    while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{process}").exists()
    assert parse_text(parser) == "Still alive."


def parse_text(parser: SubprocessParser) -> str:
    return asyncio.run(parser.parse(samples.parts(b"Still alive."), "a.txt")).text


@pytest.mark.slow
def test_texts_are_read_by_libreoffice_itself(parser: SubprocessParser) -> None:
    assert (
        parse(parser, "letter.doc").text
        == "Boiler\n\nThe boiler valve opens at 6.5 bar.\n\n| Part | Code |\n| Valve | VL-552 |\n\nSigned in Turku."
    )


def test_old_workbooks() -> None:
    made = parsed(document("staff.xls"), "staff.xls")
    assert made.text.split("\n\n")[1].split("\n") == [
        "Region: Coast; City: Bergen; Staff: 12",
        "Region: Coast; City: Stavanger; Staff: 9.5",
        "Region: Inland; City: Oslo; Staff: 40",
    ]
    assert made.notes == ("1 hidden sheet was read too",) and made.blocks[-1].headings == ("Hidden (hidden sheet)",)


def record(kind: int, content: bytes = b"") -> bytes:
    """Of a binary workbook of 2007 (MS-XLSB, 2.1.4): type and size in groups of seven bits."""

    def grouped(number: int) -> bytes:
        return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])

    return grouped(kind) + grouped(len(content)) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


SHEET = "xl/worksheets/sheet1.bin"


def workbook_of_2007(rows: bytes, *, state: int = 0, after: bytes = b"", **parts: bytes) -> bytes:
    """`parts`: by the type of their relationship. `after`: records behind the rows."""
    schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    sheet = record(129) + record(148, struct.pack("<IIII", 0, 1, 0, 1)) + record(145) + rows + record(146) + after + record(130)
    bundle = record(156, struct.pack("<II", state, 1) + wide("rId1") + wide("Rates"))
    targets = {"worksheet": "worksheets/sheet1.bin", **{kind: f"{kind}.bin" for kind in parts}}
    related = "".join(
        f'<Relationship Id="rId{at}" Type="{schema}/{kind}" Target="{target}"/>' for at, (kind, target) in enumerate(targets.items(), 1)
    )
    return samples.zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.bin": record(131) + record(143) + bundle + record(144) + record(132),
            "xl/_rels/workbook.bin.rels": f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{related}</Relationships>',
            SHEET: sheet,
            **{f"xl/{kind}.bin": part for kind, part in parts.items()},
        }
    )


def sheet_row(number: int, *cells: tuple[int, int, bytes], hidden: bool = False) -> bytes:
    """`cells`: type of the record, style, value."""
    begin = struct.pack("<IIHBB", number, 0, 300, 0, 0x10 if hidden else 0) + bytes(5)
    return record(0, begin) + b"".join(record(kind, struct.pack("<II", at, style) + value) for at, (kind, style, value) in enumerate(cells))


def test_binary_workbooks_of_2007() -> None:
    rows = sheet_row(0, (6, 0, wide("Zone")), (6, 0, wide("Rate"))) + sheet_row(1, (6, 0, wide("Z9")), (5, 0, struct.pack("<d", 77.5)))
    assert parsed(workbook_of_2007(rows), "a.xlsb").text == "Rates\n\n| Zone | Rate |\n| Z9 | 77.5 |"


def test_formats_errors_and_shared_strings_of_binary_workbooks() -> None:
    formats = record(615) + record(44, struct.pack("<H", 164) + wide('0.0" kg"')) + record(616)
    styles = [record(47, struct.pack("<HHH", 0, number, 0) + bytes(10)) for number in (0, 9, 14, 164)]
    strings = b"".join(record(19, b"\0" + wide(text)) for text in ("Item", "Off", "Due", "Mass", "Rope", "Tar"))
    first, second = struct.pack("<I", 4), struct.pack("<I", 5)
    rk = struct.pack("<I", 1250 << 2 | 3)  # 1250 hundredths
    rows = (
        sheet_row(0, *((7, 0, struct.pack("<I", at)) for at in range(4)))
        + sheet_row(1, (7, 0, first), (5, 1, struct.pack("<d", 0.25)), (9, 2, struct.pack("<d", 46146)), (2, 3, rk))
        + sheet_row(2, (7, 0, second), (3, 0, b"\x2a"), (4, 0, b"\1"), (11, 0, b"\7"), hidden=True)
    )
    merged = record(177) + record(176, struct.pack("<IIII", 1, 2, 0, 0)) + record(178)
    made = workbook_of_2007(
        rows, state=1, after=merged, styles=formats + record(617) + b"".join(styles) + record(618), sharedStrings=record(159) + strings
    )
    read = parsed(made, "a.xlsb")
    assert read.text.split("\n") == [
        "Rates (hidden sheet)",
        "",
        "Item: Rope; Off: 25%; Due: 2026-05-04; Mass: 12.5 kg",
        "Item: Tar; Off: #N/A; Due: yes; Mass: #DIV/0!",
    ]
    assert set(read.notes) == {"1 hidden sheet was read too", "hidden rows and columns of the sheet Rates were read too"}


def test_damaged_binary_workbooks_give_their_values() -> None:
    rows = sheet_row(0, (6, 0, wide("Zone")), (6, 0, wide("Rate"))) + sheet_row(1, (6, 0, wide("Z9")), (5, 0, struct.pack("<d", 77.5)))
    read = parsed(workbook_of_2007(rows, after=record(60, b"\0")), "a.xlsb")
    assert "| Z9 | 77.5 |" in read.text and "percent and currency signs" in read.notes[0]


def test_formats_errors_and_comments_of_old_workbooks() -> None:
    assert parsed(document("rates.xls"), "rates.xls").text.split("\n") == [
        "Rates",
        "",
        "Item: ~~Rope~~; Rate: 7.5%; Fee: € 8.50; Zip: 00451; Due: 2026-05-04; Took: 27:15:00; Share: #DIV/0!",
        "Item: Tar; Rate: 50.0%; Fee: € 1234.50; Zip: 00077; Due: 2026-05-04 13:30:00; Took: 0:05:00; Share: #N/A",
        "Item: Oil (https://files.example/oil); Rate: -2.0%; Fee: -€ 3.00; Zip: 00009; Due: 1999-12-31; Took: 1:00:00; Share: yes",
        "",
        "Comment on A3: Ask Vera",
    ]


def test_workbooks_of_excel_4() -> None:
    def old(kind: int, content: bytes) -> bytes:
        return struct.pack("<HH", kind, len(content)) + content

    def label(row: int, column: int, text: str) -> bytes:
        return old(0x204, struct.pack("<HHHH", row, column, 0, len(text)) + text.encode())

    number = old(0x203, struct.pack("<HHHd", 1, 1, 0, 77.5))
    cells = label(0, 0, "Zone") + label(0, 1, "Rate") + label(1, 0, "Z9") + number
    book = old(0x409, struct.pack("<HHH", 4, 0x10, 0)) + old(0x42, struct.pack("<H", 1252)) + cells + old(0x0A, b"")
    assert parsed(book, "a.xls").text.endswith("| Zone | Rate |\n| Z9 | 77.5 |")
