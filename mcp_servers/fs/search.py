"""Search below a directory for names or lines. On timeout the results so far are returned."""

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mcp.server.mcpserver.exceptions import ToolError

from mcp_servers.common import Clock, Stopped
from mcp_servers.fs.glob import Globs
from mcp_servers.fs.listing import Walk, marked
from mcp_servers.fs.regex import Pattern
from mcp_servers.fs.roots import Place, Tree, spelt
from mcp_servers.fs.shapes import Line, Lines, Names
from mcp_servers.fs.text import encoding_of
from mcp_servers.fs.walk import Entry, Folder, Kind, folder_at, found, kind, opened

BLOCK = 128 * 1024  # bytes matched between checks of the clock


@dataclass(frozen=True, slots=True)
class Position:
    """Resume after: index of a place, path in it, and line of that file (0: the file is done)."""

    place: int = 0
    path: tuple[str, ...] = ()
    line: int = 0


@dataclass(frozen=True, slots=True)
class Scope:
    """The places to search, and the position to start from."""

    tree: Tree
    clock: Clock
    places: Sequence[Place]
    begin: Position

    def walks(self) -> Iterator[tuple[int, Walk]]:
        for number in range(self.begin.place, len(self.places)):
            yield number, Walk(self.tree, self.clock, self.begin.path if number == self.begin.place else ())


@dataclass(frozen=True, slots=True)
class Wanted:
    """`kinds`: empty for all."""

    globs: Globs
    kinds: frozenset[Kind] = frozenset()

    def __contains__(self, entry: Entry) -> bool:
        parts = [spelt(part) for part in entry.place.parts]
        return (not self.kinds or kind(entry.stat) in self.kinds) and self.globs.match(parts)


def names(scope: Scope, wanted: Wanted, most: int) -> tuple[Names, Position | None]:
    """A page of names, and the position after which the next begins."""
    paths, last = list[str](), scope.begin
    try:
        for number, walk in scope.walks():
            with folder_at(scope.tree, scope.places[number]) as folder:
                for entry in walk.down(folder):
                    if len(paths) == most:
                        return Names(paths=paths), last
                    last = Position(number, entry.place.parts)
                    if entry in wanted:
                        paths.append(marked(entry.place.shown, entry.stat))
    except Stopped:
        return Names(paths=paths, truncated=True), last if last != scope.begin else None
    return Names(paths=paths), None


@dataclass(frozen=True, slots=True)
class Query:
    pattern: Pattern
    files: Globs | None  # None: all
    context: int  # lines before and after
    most: int


@dataclass(slots=True)
class Found:
    """Results so far. `at`: the next page begins after it."""

    at: Position
    matches: list[Line] = field(default_factory=list[Line])
    searched: int = 0
    skipped: int = 0
    read: int = 0  # bytes


def lines(scope: Scope, query: Query) -> tuple[Lines, Position | None]:
    so_far = Found(scope.begin)
    try:
        for number, walk in scope.walks():
            for entry in _files(walk, scope.places[number], query.files, scope.begin.line):
                if not _search_file(scope, number, entry, query, so_far):
                    return _answer(so_far, None), so_far.at
    except Stopped as stopped:
        return _answer(so_far, str(stopped)), so_far.at if so_far.at != scope.begin else None
    return _answer(so_far, None), None


def _answer(so_far: Found, note: str | None) -> Lines:
    return Lines(
        matches=so_far.matches,
        files_searched=so_far.searched,
        files_skipped=so_far.skipped,
        truncated=note is not None,
        note=note,
    )


def _files(walk: Walk, place: Place, wanted: Globs | None, line: int) -> Iterator[Entry]:
    """Files to search; `place` may be a file itself. The file at which the walk resumes comes first if it was only partly searched."""
    with found(walk.tree, place) as there:
        if isinstance(there, Entry):
            yield there
            return
        if line and walk.after:
            yield from _begun(walk, there)
        for entry in walk.down(there):
            if stat.S_ISREG(entry.stat.st_mode) and (wanted is None or wanted.match([spelt(part) for part in entry.place.parts])):
                yield entry


def _begun(walk: Walk, folder: Folder) -> Iterator[Entry]:
    """The file at which the walk resumes; nothing if it no longer exists."""
    try:
        with found(walk.tree, Place(folder.place.root, walk.after), "refuse") as there:
            if isinstance(there, Entry):
                yield there
    except ToolError:
        return


def _search_file(scope: Scope, number: int, entry: Entry, query: Query, so_far: Found) -> bool:
    """Returns whether to continue with the next file. Raises Stopped."""
    path, begin = entry.place.parts, scope.begin
    text = _read(scope.tree, entry)
    if text is None:
        so_far.skipped += 1
    else:
        so_far.searched += 1
        so_far.read += len(text)
        if so_far.read > scope.tree.limits.search_bytes:
            raise Stopped(f"stopped after {scope.tree.limits.search_bytes} bytes; search a part of the tree")
        shown = _Shown(text, entry.place.shown, query.context, scope.tree.limits.line_letters)
        behind = begin.line if (number, path) == (begin.place, begin.path) else 0
        for line in _matching(query.pattern, shown, scope.clock, behind):
            if len(so_far.matches) == query.most:
                return False
            so_far.matches.append(shown.line(line))
            so_far.at = Position(number, path, line)
    so_far.at = Position(number, path)
    return True


def _read(tree: Tree, entry: Entry) -> bytes | None:
    """The text in UTF-8 with \\n line ends; None: too large, binary or unreadable."""
    if entry.stat.st_size > tree.limits.search_file_bytes:
        return None
    try:
        with opened(tree, entry) as file, open(os.dup(file.fd), "rb") as stream:
            data = stream.read(tree.limits.search_file_bytes)
    except ToolError:
        return None
    if data.isascii() and b"\0" not in data:
        return data.replace(b"\r\n", b"\n")
    encoding = encoding_of(data, complete=True)
    if encoding is None:
        return None
    data = data.decode(encoding, "replace").encode("utf-8", "replace")
    return data.replace(b"\r\n", b"\n")


class _Shown:
    """Access to a text by line number."""

    def __init__(self, text: bytes, path: str, context: int, letters: int) -> None:
        self.text, self._path, self._context, self._letters = text, path, context, letters
        self._starts: list[int] | None = None

    @property
    def starts(self) -> list[int]:
        """Offsets of the line beginnings; computed at the first match."""
        if self._starts is None:
            at, starts = 0, [0]
            while (at := self.text.find(b"\n", at) + 1) > 0:
                starts.append(at)
            self._starts = starts
        return self._starts

    def number(self, at: int) -> int:
        """Number of the line at offset `at`, from 1."""
        return bisect_right(self.starts, at)

    def end(self, number: int) -> int:
        """End offset of a line, including its newline."""
        return self.starts[number] if number < len(self.starts) else len(self.text)

    def line(self, number: int) -> Line:
        last = len(self.starts) - (self.starts[-1] == len(self.text))
        before = [self._cut(each) for each in range(max(1, number - self._context), number)]
        after = [self._cut(each) for each in range(number + 1, min(last, number + self._context) + 1)]
        return Line(path=self._path, line=number, text=self._cut(number), before=before or None, after=after or None)

    def _cut(self, number: int) -> str:
        text = self.text[self.starts[number - 1] : self.end(number)].decode(errors="replace").rstrip("\n")
        return text if len(text) <= self._letters else f"{text[: self._letters]}…"


def _matching(pattern: Pattern, shown: _Shown, clock: Clock, behind: int) -> Iterator[int]:
    """Numbers of matching lines after line `behind`. Matches in blocks of whole lines, unless a line is longer than a block."""
    text, at = shown.text, shown.end(behind) if behind else 0
    while at < len(text):
        clock.check()
        end = _block(text, at)
        while at < end and (match := pattern.find(text, at, end)) >= 0 and match < len(text):
            number = shown.number(match)
            yield number
            at = shown.end(number)
            clock.check()
        at = max(at, end)


def _block(text: bytes, start: int) -> int:
    end = start + BLOCK
    if end >= len(text):
        return len(text)
    newline = text.rfind(b"\n", start, end) + 1
    return newline or end
