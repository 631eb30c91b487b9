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
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed

DATA = Path(__file__).parents[3] / "data" / "office"
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
    return asyncio.run(parser.parse(samples.parts((DATA / name).read_bytes()), name))


def test_texts_are_read_after_a_conversion(parser: SubprocessParser, office: Path, tmp_path: Path) -> None:
    (tmp_path / "made.docx").write_bytes(samples.word())
    act(office, f'cp "{tmp_path}/made.docx" "$1/original.docx"; cp "$2" "{tmp_path}/seen"; pwd > "{tmp_path}/folder"')
    assert "Everybody has 30 days." in parse(parser, "letter.doc").text
    assert (tmp_path / "seen").read_bytes() == (DATA / "letter.doc").read_bytes()
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
        task = asyncio.create_task(parser.parse(samples.parts((DATA / "letter.doc").read_bytes()), "a.doc"))
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
    made = parsed((DATA / "staff.xls").read_bytes(), "staff.xls")
    assert made.text.split("\n\n")[1].split("\n") == [
        "Region: Coast; City: Bergen; Staff: 12",
        "Region: Coast; City: Stavanger; Staff: 9.5",
        "Region: Inland; City: Oslo; Staff: 40",
    ]
    assert "1 hidden sheet was left out" in made.notes


def record(kind: int, content: bytes = b"") -> bytes:
    """Of a binary workbook of 2007 (MS-XLSB, 2.1.4): type and size in groups of seven bits."""

    def grouped(number: int) -> bytes:
        return bytes([number & 0x7F | 0x80, number >> 7]) if number > 0x7F else bytes([number])

    return grouped(kind) + grouped(len(content)) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def test_binary_workbooks_of_2007() -> None:
    schema = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    rows = b""
    for number, (name, value) in enumerate((("Zone", "Rate"), ("Z9", 77.5))):
        cell = struct.pack("<II", 1, 0)
        second = record(6, cell + wide(value)) if isinstance(value, str) else record(5, cell + struct.pack("<d", value))
        rows += record(0, struct.pack("<I", number) + bytes(13)) + record(6, struct.pack("<II", 0, 0) + wide(name)) + second
    sheet = record(129) + record(148, struct.pack("<IIII", 0, 1, 0, 1)) + record(145) + rows + record(146) + record(130)
    bundle = record(156, struct.pack("<II", 0, 1) + wide("rId1") + wide("Rates"))
    relation = f'<Relationship Id="rId1" Type="{schema}/worksheet" Target="worksheets/sheet1.bin"/>'
    made = samples.zipped(
        {
            "[Content_Types].xml": "<Types/>",
            "xl/workbook.bin": record(131) + record(143) + bundle + record(144) + record(132),
            "xl/_rels/workbook.bin.rels": f"<Relationships>{relation}</Relationships>",
            "xl/worksheets/sheet1.bin": sheet,
        }
    )
    assert parsed(made, "a.xlsb").text == "Rates\n\n| Zone | Rate |\n| Z9 | 77.5 |"
