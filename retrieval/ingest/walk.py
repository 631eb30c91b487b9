"""Finds the files of a directory tree to be ingested."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.api import KnowledgeError
from retrieval.ingest.spoken import RECORDINGS
from retrieval.parse.formats import CSV, HTML, IMAGES, JSON, MARKDOWN, TEXT

HEAD_SIZE = 4096  # bytes read to tell text from binary data
UTF_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # UTF-16 and UTF-32: text with zero bytes
DOCUMENT_SUFFIXES = frozenset({".pdf", ".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm", ".epub"})
OLD_OFFICE_SUFFIXES = frozenset({".doc", ".dot", ".xls", ".ppt", ".pps", ".odt", ".ods", ".odp"})  # fail with advice to convert them
TEXT_SUFFIXES = frozenset((*MARKDOWN, *HTML, *TEXT, *CSV, *JSON))  # not checked here: ingestion reports a binary file
SKIPPED_DIRECTORIES = frozenset({"node_modules", "__pycache__"})
MARKER_FILES = frozenset({"__init__.py", "py.typed"})  # usually empty on purpose


class NoSuchPath(KnowledgeError):
    """A path given by the user is neither a file nor a directory."""


@dataclass(frozen=True)
class FoundFile:
    path: Path  # absolute
    filename: str  # for display: relative to the given directory

    @property
    def source(self) -> str:
        """Identifies the file in the store: its path, with bytes that are not Unicode escaped."""
        return _unicode(str(self.path))


@dataclass(frozen=True)
class WalkResult:
    files: tuple[FoundFile, ...]
    roots: tuple[Path, ...]  # the directories among the given paths
    skipped: Counter[str] = field(default_factory=Counter[str])  # suffix -> number of files that are neither text nor a known format


def walk(paths: Sequence[Path], *, recordings: bool = False, pictures: bool = False) -> WalkResult:
    """A file given itself is always included. Left out of directories: hidden files, SKIPPED_DIRECTORIES, links that lead out of them, and
    files that hold no text, recordings among them unless `recordings` says that they are heard, and images unless `pictures` says that they
    are seen. Raises NoSuchPath."""
    more = frozenset((*(RECORDINGS if recordings else ()), *(IMAGES if pictures else ())))
    found: dict[Path, FoundFile] = {}
    skipped: Counter[str] = Counter()
    for path in map(_resolve, paths):
        for one in _files_below(path, skipped, more) if path.is_dir() else [FoundFile(path, _unicode(path.name))]:
            found.setdefault(one.path, one)
    return WalkResult(tuple(found.values()), tuple(path for path in map(_resolve, paths) if path.is_dir()), skipped)


def _resolve(path: Path) -> Path:
    path = path.expanduser().resolve()
    if not path.is_file() and not path.is_dir():
        raise NoSuchPath(f"{path} is neither a file nor a directory")
    return path


def _files_below(root: Path, skipped: Counter[str], more: frozenset[str]) -> Iterator[FoundFile]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _visible(name))
        for path in (Path(folder, name) for name in sorted(names) if _visible(name)):
            if not path.is_file() or (path.is_symlink() and not path.resolve().is_relative_to(root)):
                continue
            if _readable(path, more):
                yield FoundFile(path, _unicode(path.relative_to(root).as_posix()))
            else:
                skipped[path.name if path.name in MARKER_FILES else path.suffix.lower() or path.name] += 1


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in SKIPPED_DIRECTORIES


def _readable(path: Path, more: frozenset[str]) -> bool:
    if path.suffix.lower() in DOCUMENT_SUFFIXES | OLD_OFFICE_SUFFIXES | TEXT_SUFFIXES | more:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_SIZE)
    except OSError:
        return True  # ingestion reports the error
    return head.startswith(UTF_BOMS) or (b"\0" not in head and bool(head or path.name not in MARKER_FILES))


def _unicode(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
