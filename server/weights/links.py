"""Weights of a prepared directory are links to the originals; source.json says how these were when they were linked."""

import json
import shutil
from pathlib import Path


def link(source: Path, target: Path) -> None:
    """A hard link, else a symbolic link, else a copy."""
    try:
        target.hardlink_to(source)
    except OSError:
        try:
            target.symlink_to(source)
        except OSError:
            shutil.copyfile(source, target)


def unchanged(directory: Path) -> bool:
    """Whether the linked weights have the size and modification time that they had when the directory was prepared."""
    stamps: dict[str, list[int]] = json.loads((directory / "source.json").read_text())
    return all((directory / name).exists() and stamp(directory / name) == noted for name, noted in stamps.items())


def stamp(file: Path) -> list[int]:
    status = file.stat()
    return [status.st_size, status.st_mtime_ns]
