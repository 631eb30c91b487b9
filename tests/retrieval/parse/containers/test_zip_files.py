"""Archives of documents: each file a part under its path, all together within the limits of one file."""

import io
import zipfile

import pytest

from retrieval.parse.limits import Limits, ParseError
from tests.retrieval import samples
from tests.retrieval.parse.test_formats import parsed
from tests.retrieval.samples import blocks


def test_files_are_parts_under_their_paths() -> None:
    inner = samples.zipped({"deep.txt": "Deep down."})
    made = parsed(
        samples.zipped(
            {"b/notes.md": "# Notes\n\nNine.", "a.docx": samples.word(), "c.zip": inner, "__MACOSX/._a": b"\0\1", "d.bin": b"\0\1"}
        ),
        "all.zip",
    )
    paths = {made.text[block.start : block.end]: block.headings for block in made.blocks}
    assert paths["Nine."] == ("b/notes.md", "Notes") and paths["Deep down."] == ("c.zip", "deep.txt")
    assert paths["Everybody has 30 days."][0] == "a.docx"
    assert made.media_type == "application/zip" and [note for note in made.notes if "d.bin was left out" in note]
    assert "d.bin" not in made.text and not [note for note in made.notes if "MACOSX" in note]


def test_notes_name_the_file() -> None:
    assert parsed(samples.zipped({"a.json": "{broken", "b.txt": "x"}), "a.zip").notes == (
        "a.json: the file is not valid JSON and was read as plain text",
    )


@pytest.mark.parametrize(
    ("name", "codec"), [("Größe.txt", "cp850"), ("Größe.txt", "utf-8"), ("返品リスト.txt", "cp932"), ("Договор.txt", "cp866")]
)
def test_names_in_the_encoding_of_the_system_that_packed(name: str, codec: str) -> None:
    target, stored = io.BytesIO(), name.encode(codec)
    with zipfile.ZipFile(target, "w") as made:
        made.writestr("x" * len(stored), "Text")
    assert blocks(parsed(target.getvalue().replace(b"x" * len(stored), stored), "a.zip"))[0] == ("heading", name)


def bomb(depth: int) -> bytes:
    data = samples.zipped({"a.txt": "x" * 100_000})
    for _ in range(depth):
        data = samples.zipped({f"{number}.zip": data for number in range(10)})
    return data


def test_archives_in_archives_share_the_limits() -> None:
    made = parsed(bomb(3), "a.zip", Limits(unpacked_bytes=2_000_000, ratio=10_000))
    assert len(made.text) < 2_100_000 and any("take more than" in note for note in made.notes)
    made = parsed(bomb(2), "a.zip", Limits(entries=50, ratio=10_000))
    assert any("more than 50 files" in note for note in made.notes)
    nested = samples.zipped({"a.txt": "x"})
    for _ in range(6):
        nested = samples.zipped({"b.txt": "y", "z.zip": nested})
    assert any("nested" in note for note in parsed(nested, "a.zip").notes)


def test_an_archive_of_nothing_readable() -> None:
    with pytest.raises(ParseError, match="no file in the archive"):
        parsed(samples.zipped({"a.png": b"\x89PNG\r\n\x1a\n" + bytes(9)}), "a.zip")
