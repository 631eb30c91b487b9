"""Path resolution with directory file descriptors only.

Each name is opened relative to its parent's descriptor with O_NOFOLLOW, so that concurrent renames cannot lead outside the root.
Links are resolved here name by name; ".." pops from the stack of opened directories, which ends at the root. A link to an absolute
path is followed if the path begins with that of a root: the rest of it is resolved below that root in the same way.
"""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

from mcp_servers.fs.roots import Place, Refused, Rooted, Tree

LINKS = 16  # maximum number followed per path
DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | getattr(os, "O_PATH", os.O_RDONLY)
LISTED = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}

Links = Literal["follow", "refuse"]
Kind = Literal["file", "directory", "link", "other"]


@dataclass(frozen=True, slots=True)
class Folder:
    """An open directory. `fd`: for openat and the like. `place`: its location with links resolved."""

    fd: int
    place: Place


@dataclass(frozen=True, slots=True)
class Entry:
    """Anything in a directory, named and not opened. `stat`: may be outdated."""

    folder: Folder
    name: str
    stat: os.stat_result

    @property
    def place(self) -> Place:
        return self.folder.place.inside(self.name)


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, open for reading."""

    fd: int
    place: Place
    stat: os.stat_result


@contextmanager
def found(tree: Tree, place: Place, links: Links = "follow") -> Generator[Folder | Entry]:
    """Resolves `place`. With `refuse`, a link inside the path is an error and a final link is returned as Entry. Raises Refused."""
    with told(place), ExitStack() as stack:
        descent = _Descent(tree, place, links, stack)
        yield descent.run()


@contextmanager
def folder_at(tree: Tree, place: Place, links: Links = "follow") -> Generator[Folder]:
    with found(tree, place, links) as there:
        if isinstance(there, Entry):
            what = "a link on the way; write where it leads to" if stat.S_ISLNK(there.stat.st_mode) else "not a directory"
            raise Refused(f"{place.shown}: {what}")
        yield there


@contextmanager
def file_at(tree: Tree, place: Place) -> Generator[File]:
    with found(tree, place) as there:
        if isinstance(there, Folder):
            raise Refused(f"{place.shown}: a directory; list_directory shows what is in it")
        with opened(tree, there) as file:
            yield file


@contextmanager
def opened(tree: Tree, entry: Entry) -> Generator[File]:
    """Checked before opening, since opening a device can have effects, and after, since the file may have been replaced."""
    expect_file(tree, entry.place, entry.stat)
    with told(entry.place):
        fd = os.open(entry.name, READ, dir_fd=entry.folder.fd)
    try:
        status = os.fstat(fd)
        expect_file(tree, entry.place, status)
        yield File(fd, entry.place, status)
    finally:
        os.close(fd)


@contextmanager
def below(folder: Folder, name: str) -> Generator[Folder]:
    """Opens a subdirectory. Raises OSError."""
    fd = os.open(name, DIRECTORY, dir_fd=folder.fd)
    try:
        yield Folder(fd, folder.place.inside(name))
    finally:
        os.close(fd)


def expect_file(tree: Tree, place: Place, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{place.shown}: not a regular file")
    if status.st_nlink > 1 and tree.policy.hard_links == "refuse":
        raise Refused(f"{place.shown}: a file with {status.st_nlink} hard links, one of which may be outside; refused")
    if status.st_dev in tree.pseudo:
        raise Refused(f"{place.shown}: not a file on a disk")


def kind(status: os.stat_result) -> Kind:
    return KINDS.get(stat.S_IFMT(status.st_mode), "other")  # pyright: ignore[reportReturnType]


@contextmanager
def told(place: Place) -> Generator[None]:
    """Turns OSError into Refused, without details that only the operator should see."""
    try:
        yield
    except FileNotFoundError:
        raise Refused(f"{place.shown}: there is no such file or directory") from None
    except PermissionError:
        raise Refused(f"{place.shown}: the system denies access") from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise Refused(f"{place.shown}: a name on the way is not a directory, or changed meanwhile") from None
        raise Refused(f"{place.shown}: {os.strerror(error.errno or errno.EIO)}") from None


class _Descent:
    """Resolution of one path. `stack` closes the opened directories."""

    def __init__(self, tree: Tree, place: Place, links: Links, stack: ExitStack) -> None:
        self._tree, self._asked, self._stack = tree, place, stack
        self._left = list(reversed(place.parts))
        self._links = LINKS if links == "follow" else 0
        self._begin(place.root)

    def _begin(self, root: Rooted) -> None:
        self._root, self._fds = root, [self._keep(_root(root))]
        self._parts: list[str] = []

    def run(self) -> Folder | Entry:
        while self._left:
            name = self._left.pop()
            if name == "..":
                self._up()
            elif entry := self._step(name):
                return entry
        return self._here()

    def _step(self, name: str) -> Entry | None:
        """Enters a directory or follows a link (None); anything else is returned as the final Entry."""
        self._tree.admitted(self._here().place.inside(name))
        status = os.stat(name, dir_fd=self._fds[-1], follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            self._fds.append(self._keep(os.open(name, DIRECTORY, dir_fd=self._fds[-1])))
            self._parts.append(name)
        elif stat.S_ISLNK(status.st_mode) and (self._links or self._left):
            self._follow(os.readlink(name, dir_fd=self._fds[-1]))
        elif self._left:
            raise NotADirectoryError(errno.ENOTDIR, name)
        else:
            return Entry(self._here(), name, status)
        return None

    def _follow(self, target: str) -> None:
        if not self._links:
            raise Refused(f"{self._asked.shown}: a link on the way; write where it leads to")
        names = [name for name in target.split("/") if name not in ("", ".")]
        if target.startswith("/"):
            names = self._rooted(names)
        self._links -= 1
        self._left += reversed(names)
        if self._links == 0 or len(self._left) > self._tree.limits.depth:
            raise Refused(f"{self._asked.shown}: too many links")

    def _rooted(self, names: list[str]) -> list[str]:
        """Goes to the root that an absolute path begins with; what is left of the path. Raises Refused for paths outside."""
        begun = self._tree.root_of(names)
        if not begun:
            raise Refused(f"{self._asked.shown}: a link to an absolute path outside; refused")
        root, size = begun
        self._begin(root)
        return names[size:]

    def _up(self) -> None:
        if not self._parts:
            raise Refused(f"{self._asked.shown}: a link that leads outside; refused")
        self._parts.pop()
        self._fds.pop()

    def _here(self) -> Folder:
        return Folder(self._fds[-1], Place(self._root, tuple(self._parts)))

    def _keep(self, fd: int) -> int:
        self._stack.callback(os.close, fd)
        if os.fstat(fd).st_dev in self._tree.pseudo:
            raise Refused(f"{self._asked.shown}: not on a disk; refused")
        return fd


def _root(root: Rooted) -> int:
    """Opens the root name by name without following links, so that it is the path resolved at start."""
    fd = os.open("/", DIRECTORY)
    for name in root.path.parts[1:]:
        try:
            below = os.open(name, DIRECTORY, dir_fd=fd)
        finally:
            os.close(fd)
        fd = below
    return fd
