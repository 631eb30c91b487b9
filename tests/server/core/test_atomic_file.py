"""Files that are replaced as a whole."""

import os
from pathlib import Path

import pytest

from server.core.atomic_file import replace_file


def test_a_file_is_made_and_replaced(tmp_path: Path) -> None:
    file = tmp_path / "a"
    replace_file(file, b"one")
    assert file.read_bytes() == b"one" and file.stat().st_mode & 0o777 == 0o600
    replace_file(file, b"two", 0o640)
    assert file.read_bytes() == b"two" and file.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_what_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    file = tmp_path / "a"
    file.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(file, b"new")
    assert file.read_bytes() == b"old" and list(tmp_path.iterdir()) == [file]
