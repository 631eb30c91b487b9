"""The comparison of readings, and our reading of generated files against LibreOffice's."""

from pathlib import Path

import pytest

from bench.reading.__main__ import main, measure
from bench.reading.compare import compare, words
from tests.retrieval import samples


@pytest.mark.parametrize(
    ("reading", "reference", "missing"),
    [
        ("The fee is 10⁶ EUR.", "the FEE is 106 eur", {}),
        ("known", "known unknown", {"unknown": 1}),
        ("Price: 1234.5; 2", "1,234.50 2.0", {}),
        ("well-known", "well- known wellknown", {}),
        ("a header, a text", "a header a text a header", {}),
        ("", "a a b", {"a": 2, "b": 1}),
    ],
)
def test_missing_words(reading: str, reference: str, missing: dict[str, int]) -> None:
    found = compare(reading, reference)
    assert dict(found.missing) == missing and found.total == len(words(reference))


def test_the_share_of_nothing_is_all() -> None:
    assert compare("x", "").share == 1.0 and compare("", "a b").share == 0.0


FILES = {"a.docx": samples.word, "a.pptx": samples.slides, "a.xlsx": samples.workbook}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, make in FILES.items():
        (tmp_path / name).write_bytes(make())
    return tmp_path


def test_slides_are_held_against_their_xml(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(folder), "--ending", ".pptx", "--json", str(folder / "out.json")])
    assert "100.00%" in capsys.readouterr().out and '"share": 1.0' in (folder / "out.json").read_text()


@pytest.mark.slow
def test_generated_files_are_complete(folder: Path) -> None:
    results = list(measure(sorted(folder.iterdir())))
    assert {(result.path.name, result.reader) for result in results} >= {("a.docx", "libreoffice"), ("a.xlsx", "libreoffice")}
    for result in results:  # a sheet and text that are hidden are exported by LibreOffice
        left_out = {"nobody", "sees", "this", "not", "seen", "either"}
        assert not result.refused and not set(result.comparison.missing) - left_out, result
