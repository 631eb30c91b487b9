"""Atomic and durable writing, never through symbolic links or into files with several hard links."""

import errno
import os
import stat
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from mcp_servers.fs.roots import Place, Refused, Tree
from mcp_servers.fs.shapes import Written
from mcp_servers.fs.text import ENDS, encoding_of, endings, head_of, sample_of
from mcp_servers.fs.walk import Entry, File, Folder, expect_file, folder_at, found, opened, told
from mcp_servers.fs.writing.put import put, synced
from mcp_servers.fs.writing.renaming import rename_to_free


@contextmanager
def writable(tree: Tree, place: Place) -> Generator[tuple[Folder, str]]:
    """The parent directory and the name. Raises Refused if `place` is not writable."""
    expect_writable(tree, place)
    with folder_at(tree, place.above, "refuse") as folder:
        yield folder, place.parts[-1]


def expect_writable(tree: Tree, place: Place) -> None:
    """Raises Refused if the root is read-only or `place` is a root."""
    if not tree.writable(place):
        raise Refused(f"{place.shown}: it is in a root that is read-only")
    if not place.parts:
        raise Refused(f"{place.shown}: this is a root itself; name a file in it")


def write_text(tree: Tree, place: Place, content: str, existing: Literal["replace", "refuse"]) -> Written:
    """A replaced file keeps its mode, its encoding and, if `content` only has \\n, its line endings."""
    with writable(tree, place) as (folder, name), told(place):
        old = _standing(folder, name)
        if old is None:
            data = fitting(tree, place, content.encode())
            put(folder, name, data, None)
            return Written(path=place.shown, action="created", size=len(data))
        if existing == "refuse":
            raise Refused(f"{place.shown}: it exists already; pass overwrite: true to replace it")
        with open_to_write(tree, folder, name) as file:
            data = fitting(tree, place, _as_it_was(file, content))
            put(folder, name, data, file)
    return Written(path=place.shown, action="replaced", size=len(data))


@contextmanager
def open_to_write(tree: Tree, folder: Folder, name: str) -> Generator[File]:
    """Opens an existing file, for reading before replacement. Raises Refused unless it is a regular file with one hard link."""
    status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    place = folder.place.inside(name)
    if stat.S_ISLNK(status.st_mode):
        raise Refused(f"{place.shown}: a link; write to where it leads")
    if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
        raise Refused(f"{place.shown}: a file with {status.st_nlink} hard links is not written to")
    with opened(tree, Entry(folder, name, status)) as file:
        if file.stat.st_nlink > 1:
            raise Refused(f"{place.shown}: it changed meanwhile")
        yield file


def encoded(text: str, encoding: str, place: Place, errors: str = "strict") -> bytes:
    """Raises Refused for characters that the encoding lacks."""
    try:
        return text.encode(encoding, errors)
    except UnicodeEncodeError as error:
        raise Refused(f"{place.shown}: the file is in {encoding}, which has no {text[error.start]!r}") from None


def fitting(tree: Tree, place: Place, data: bytes) -> bytes:
    """Returns `data`. Raises Refused if it is too large."""
    if len(data) > tree.limits.write_bytes:
        raise Refused(f"{place.shown}: {len(data)} bytes are more than the {tree.limits.write_bytes} that may be written at once")
    return data


def create_folder(tree: Tree, place: Place) -> Written:
    """Creates the directory and missing parents. Raises Refused."""
    expect_writable(tree, place)
    made = [at for at in range(1, len(place.parts) + 1) if _create(tree, Place(place.root, place.parts[:at]))]
    return Written(path=place.shown, action="created" if made else "existed")


def move(tree: Tree, source: Place, target: Place) -> Written:
    """Moves a file or directory to a name that must not exist. Raises Refused."""
    with writable(tree, source) as (folder, name), writable(tree, target) as (other, new), told(source):
        status = os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _expect_nothing_loosed(tree, source)
        else:
            expect_file(tree, source, status)
        try:
            rename_to_free(name, folder.fd, new, other.fd)
        except FileExistsError:
            raise Refused(f"{target.shown}: it exists already") from None
        except OSError as error:
            if error.errno in (errno.EXDEV, errno.EINVAL):
                raise Refused(f"{target.shown}: on another disk, or inside of what is to be moved") from None
            raise
        synced(other)
        synced(folder)
    return Written(path=target.shown, action="moved")


def _expect_nothing_loosed(tree: Tree, source: Place) -> None:
    """Raises Refused if moving a directory could expose files: globs with a slash deny by path, and a root may lie inside it."""
    if not tree.writable(source, below=True):
        raise Refused(f"{source.shown}: there is a read-only root in it")
    if tree.denied.positional:
        raise Refused(f"{source.shown}: directories are not moved here, since some of the operator's --deny rules name paths")


def _create(tree: Tree, place: Place) -> bool:
    """Creates one directory; False: it existed. Raises Refused."""
    with folder_at(tree, place.above, "refuse") as folder, told(place):
        try:
            os.mkdir(place.parts[-1], dir_fd=folder.fd)
        except FileExistsError:
            with found(tree, place, "refuse") as there:
                if isinstance(there, Entry):
                    raise Refused(f"{place.shown}: it exists, and is no directory") from None
            return False
        synced(folder)
        return True


def _standing(folder: Folder, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _as_it_was(file: File, content: str) -> bytes:
    head = head_of(file)
    encoding = encoding_of(sample_of(file)) or "utf-8"
    ending = endings(head.decode(encoding, "replace"))
    if ending in ("crlf", "cr") and "\r" not in content:
        content = content.replace("\n", ENDS[ending])
    return encoded(content, encoding, file.place)
