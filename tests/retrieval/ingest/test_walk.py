"""What of a directory is read."""

import os
from pathlib import Path

import pytest

from retrieval.ingest.walk import FoundFile, NoSuchPath, walk


def write(path: Path, content: bytes = b"text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(*paths: Path) -> list[str]:
    return [found.filename for found in walk(paths).files]


def test_a_directory_is_walked_in_order_without_what_nobody_wants_to_read(tmp_path: Path) -> None:
    for name in ("b.txt", "a/z.md", "a/b/c.py", ".hidden", ".git/config", "node_modules/x.js", "a/__pycache__/y.txt"):
        write(tmp_path / name)
    assert names(tmp_path) == ["b.txt", "a/z.md", "a/b/c.py"]


def test_files_without_text_are_counted_by_kind_but_documents_and_utf16_are_taken(tmp_path: Path) -> None:
    for name in ("a.png", "b.PNG", "c.bin", "d.pdf", "e.docx", "lie.md", "noext", "old.DOC", "sheet.ods"):
        write(tmp_path / name, b"\x89\0\0")
    write(tmp_path / "f.txt", "Grüße".encode("utf-16"))
    write(tmp_path / "pkg" / "__init__.py", b"")
    write(tmp_path / "pkg" / "empty.txt", b"")  # whoever reads it says what is wrong
    found = walk([tmp_path])
    assert sorted(one.filename for one in found.files) == ["d.pdf", "e.docx", "f.txt", "lie.md", "old.DOC", "pkg/empty.txt", "sheet.ods"]
    assert found.skipped == {".png": 2, ".bin": 1, "noext": 1, "__init__.py": 1}


def test_a_file_that_is_named_is_taken_whatever_it_is_and_once(tmp_path: Path) -> None:
    image = write(tmp_path / "a.png", b"\0")
    hidden = write(tmp_path / ".env")
    assert names(image, hidden, image, tmp_path) == ["a.png", ".env"]
    assert walk([image]).roots == () and walk([tmp_path]).roots == (tmp_path,)


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    secret = write(tmp_path / "outside" / "secret.txt")
    inside = write(tmp_path / "root" / "inside.txt")
    (tmp_path / "root" / "out.txt").symlink_to(secret)
    (tmp_path / "root" / "out").symlink_to(tmp_path / "outside")
    (tmp_path / "root" / "in.txt").symlink_to(inside)
    (tmp_path / "root" / "broken.txt").symlink_to(tmp_path / "nowhere")
    assert names(tmp_path / "root") == ["in.txt", "inside.txt"]


def test_what_is_no_file_is_left_alone(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == []
    with pytest.raises(NoSuchPath, match="pipe"):
        walk([tmp_path / "pipe"])


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPath, match=r"nowhere"):
        walk([tmp_path, tmp_path / "nowhere"])


def test_names_that_are_no_unicode_are_spelt_out(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"text")
    (found,) = walk([tmp_path]).files
    assert found.filename == "caf\\udce9.txt" and found.source.encode()
    assert found.path.read_bytes() == b"text"
    assert FoundFile(Path("/a/ä.txt"), "ä.txt").source == "/a/ä.txt"


def test_recordings_and_images_are_taken_where_somebody_hears_and_sees_them(tmp_path: Path) -> None:
    for name in ("a.txt", "b.PNG", "c.webp", "d.mp3"):
        (tmp_path / name).write_bytes(b"a" if name == "a.txt" else b"\0")
    found = {(heard, seen): walk([tmp_path], recordings=heard, pictures=seen) for heard in (False, True) for seen in (False, True)}
    names = {key: [file.filename for file in one.files] for key, one in found.items()}
    assert names[False, False] == ["a.txt"] and names[True, True] == ["a.txt", "b.PNG", "c.webp", "d.mp3"]
    assert names[False, True] == ["a.txt", "b.PNG", "c.webp"] and found[False, True].skipped == {".mp3": 1}
