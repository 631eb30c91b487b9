"""Directory listings, recursive walks and tree drawings. Links are shown, never followed."""

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from mcp_servers.common import Clock
from mcp_servers.fs.roots import Place, Refused, Tree, spelt
from mcp_servers.fs.shapes import Drawing, Item, Listing
from mcp_servers.fs.walk import LISTED, Entry, Folder, below, folder_at, kind


@dataclass(frozen=True, slots=True)
class Walk:
    """A recursive walk. `after`: start after this path, in walk order."""

    tree: Tree
    clock: Clock
    after: tuple[str, ...] = ()
    depth: int = 64

    def down(self, folder: Folder, level: int = 0) -> Generator[Entry]:
        """All entries below, sorted by name, a directory before its contents. Directories that cannot be opened or are too large
        are not entered. An entry is valid until the next one is requested."""
        for name, status in entries(self.tree, folder, self.clock):
            self.clock.check()
            self.clock.done += 1
            path = (*folder.place.parts, name)
            if path > self.after:
                yield Entry(folder, name, status)
            if stat.S_ISDIR(status.st_mode) and level + 1 < self.depth and path >= self.after[: len(path)]:
                yield from self._inside(folder, name, level + 1)

    def _inside(self, folder: Folder, name: str, level: int) -> Generator[Entry]:
        try:
            with below(folder, name) as inner:
                if os.fstat(inner.fd).st_dev not in self.tree.pseudo:
                    yield from self.down(inner, level)
        except (OSError, Refused):
            return


@dataclass(frozen=True, slots=True)
class Page:
    after: str  # a name
    most: int


def entries(tree: Tree, folder: Folder, clock: Clock) -> list[tuple[str, os.stat_result]]:
    """Entries of a directory, sorted by name, without denied names. Raises OSError, Refused."""
    fd = os.open(".", LISTED, dir_fd=folder.fd)
    try:
        with os.scandir(fd) as listed:
            found = sorted(_looked_at(tree, folder, clock, listed))
    finally:
        os.close(fd)
    return found


def _looked_at(tree: Tree, folder: Folder, clock: Clock, listed: Iterator["os.DirEntry[str]"]) -> Iterator[tuple[str, os.stat_result]]:
    for count, entry in enumerate(listed):
        clock.check()
        if count >= tree.limits.folder_entries:
            raise Refused(f"{folder.place.shown}: more than {tree.limits.folder_entries} entries")
        if not tree.denies((*folder.place.parts, entry.name)):
            try:
                yield entry.name, entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue


def listing(tree: Tree, places: Sequence[Place], page: Page, clock: Clock) -> tuple[Listing, str | None]:
    """A page, and the name after which the next begins. Several places are the roots; then the roots are listed."""
    if len(places) > 1:
        return Listing(path=".", entries=[Item(name=place.root.name, kind="directory") for place in places]), None
    place, most = places[0], page.most
    with folder_at(tree, place) as folder:
        found = [(name, status) for name, status in entries(tree, folder, clock) if name > page.after]
        shown = [item(name, status) for name, status in found[:most]]
        return Listing(path=place.shown, entries=shown), found[most - 1][0] if len(found) > most else None


def drawing(walk: Walk, places: Sequence[Place], most: int) -> Drawing:
    """A tree of at most `most` entries. With several places, each is headed by its root's name."""
    lines = list(islice(_drawn(walk, places), most + 1))
    path = "." if len(places) > 1 else places[0].shown
    return Drawing(path=path, tree="\n".join(lines[:most]), entries=len(lines[:most]), truncated=len(lines) > most)


def _drawn(walk: Walk, places: Sequence[Place]) -> Iterator[str]:
    for place in places:
        if len(places) > 1:
            yield f"{place.root.name}/"
        with folder_at(walk.tree, place) as folder:
            level = len(folder.place.parts) + (len(places) == 1)
            for entry in walk.down(folder):
                yield "  " * (len(entry.place.parts) - level) + marked(spelt(entry.name), entry.stat)


def item(name: str, status: os.stat_result) -> Item:
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return Item(name=spelt(name), kind=kind(status), size=size, modified=modified(status))


def marked(name: str, status: os.stat_result) -> str:
    return f"{name}{'/' if stat.S_ISDIR(status.st_mode) else '@' if stat.S_ISLNK(status.st_mode) else ''}"


def modified(status: os.stat_result) -> str:
    return datetime.fromtimestamp(int(status.st_mtime), UTC).isoformat().replace("+00:00", "Z")
