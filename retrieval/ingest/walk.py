"""What of a directory tree is worth reading."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from retrieval.api import KnowledgeError
from retrieval.parse.formats import CSV, HTML, JSON, MARKDOWN, TEXT

HEAD = 4096  # bytes that tell text from other things
MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # UTF-16 and UTF-32: text full of zero bytes
DOCUMENTS = frozenset({".pdf", ".docx", ".docm", ".pptx", ".pptm", ".xlsx", ".xlsm", ".epub"})
FOREIGN = frozenset({".doc", ".dot", ".xls", ".ppt", ".pps", ".odt", ".ods", ".odp"})  # documents: they fail with what to do about it
PROSE = frozenset((*MARKDOWN, *HTML, *TEXT, *CSV, *JSON))  # nothing else is called so: one that holds no text fails, by its name
SKIPPED = frozenset({"node_modules", "__pycache__"})
MARKERS = frozenset({"__init__.py", "py.typed"})  # usually empty, and rightly so


class NoSuchPath(KnowledgeError):
    """Named on the command line, but neither a file nor a directory."""


@dataclass(frozen=True)
class Found:
    path: Path  # absolute
    filename: str  # as people see it: relative to the directory that was asked for

    @property
    def source(self) -> str:
        """What the store remembers it by; names that are no Unicode are spelt out."""
        return _unicode(str(self.path))


@dataclass(frozen=True)
class WalkResult:
    files: tuple[Found, ...]
    roots: tuple[Path, ...]  # the directories among what was asked for
    skipped: Counter[str] = field(default_factory=Counter[str])  # suffix -> files that hold no text and are no known document


def walk(paths: Sequence[Path]) -> WalkResult:
    """A file that is named itself is always taken. Left out of directories: what is hidden, SKIPPED, links that lead out of
    them, and files that hold no text. Raises NoSuchPath."""
    found: dict[Path, Found] = {}
    skipped: Counter[str] = Counter()
    for path in map(_resolved, paths):
        for one in _below(path, skipped) if path.is_dir() else [Found(path, _unicode(path.name))]:
            found.setdefault(one.path, one)
    return WalkResult(tuple(found.values()), tuple(path for path in map(_resolved, paths) if path.is_dir()), skipped)


def _resolved(path: Path) -> Path:
    path = path.expanduser().resolve()
    if not path.is_file() and not path.is_dir():
        raise NoSuchPath(f"{path} is neither a file nor a directory")
    return path


def _below(root: Path, skipped: Counter[str]) -> Iterator[Found]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if _visible(name))
        for path in (Path(folder, name) for name in sorted(names) if _visible(name)):
            if not path.is_file() or (path.is_symlink() and not path.resolve().is_relative_to(root)):
                continue
            if _readable(path):
                yield Found(path, _unicode(path.relative_to(root).as_posix()))
            else:
                skipped[path.name if path.name in MARKERS else path.suffix.lower() or path.name] += 1


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in SKIPPED


def _readable(path: Path) -> bool:
    if path.suffix.lower() in DOCUMENTS | FOREIGN | PROSE:
        return True
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return True  # whoever reads all of it says what is wrong
    return head.startswith(MARKS) or (b"\0" not in head and bool(head or path.name not in MARKERS))


def _unicode(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()
