"""Atomic, durable writing of a file that never overwrites an unexpected version."""

import os
import stat
from contextlib import suppress
from secrets import token_hex

from mcp_servers.fs.roots import Refused
from mcp_servers.fs.walk import LISTED, File, Folder
from mcp_servers.fs.writing.renaming import exchange, rename_to_free

MODE = 0o666  # of new files, before the umask
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def put(folder: Folder, name: str, data: bytes, old: File | None) -> None:
    """Durable once it returns. `old`: the file to replace; None: create. Raises Refused if the target changed meanwhile, which then
    is left unchanged; OSError."""
    draft = f".{token_hex(8)}.tmp"
    fd = os.open(draft, NEW, MODE if old is None else 0o600, dir_fd=folder.fd)
    ours = os.fstat(fd)
    try:
        with open(fd, "wb") as stream:
            stream.write(data)
            stream.flush()
            if old:
                _like(fd, old.stat)
            os.fsync(fd)
        if old:
            _replace(folder, draft, name, old, ours)
        else:
            _add(folder, draft, name)
    except BaseException:
        _discard(folder, draft, ours)
        raise
    synced(folder)


def synced(folder: Folder) -> None:
    fd = os.open(".", LISTED, dir_fd=folder.fd)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _like(fd: int, old: os.stat_result) -> None:
    """Copies owner and mode. Owner first: chown clears mode bits. Only root may change the owner; otherwise it is kept."""
    with suppress(PermissionError):
        os.fchown(fd, old.st_uid, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode) & 0o777)


def _discard(folder: Folder, draft: str, ours: os.stat_result) -> None:
    """Deletes the draft unless its name now belongs to another file."""
    with suppress(OSError):
        if _same(_seen(folder, draft), ours):
            os.unlink(draft, dir_fd=folder.fd)


def _add(folder: Folder, draft: str, name: str) -> None:
    try:
        rename_to_free(draft, folder.fd, name, folder.fd)
    except FileExistsError:
        raise Refused(f"{folder.place.inside(name).shown}: it was created meanwhile") from None


def _replace(folder: Folder, draft: str, name: str, old: File, ours: os.stat_result) -> None:
    """Swaps the two and checks which file came out, since the target may change at any moment before the swap. Where swapping is
    not supported, a change between the check and the rename is lost."""
    changed = f"{folder.place.inside(name).shown}: it changed meanwhile; read it again"
    if _version(_seen(folder, name)) != _version(old.stat):
        raise Refused(changed)
    try:
        swapped = exchange(draft, name, folder.fd)
    except FileNotFoundError:
        raise Refused(changed) from None
    if not swapped:
        os.rename(draft, name, src_dir_fd=folder.fd, dst_dir_fd=folder.fd)
    elif _version(_seen(folder, draft)) == _version(old.stat):
        os.unlink(draft, dir_fd=folder.fd)
    else:
        _give_back(folder, draft, name, ours)
        raise Refused(changed)


def _give_back(folder: Folder, draft: str, name: str, ours: os.stat_result) -> None:
    """Undoes the swap. If the target has changed once more, that version stays and the other one is kept as `draft`."""
    with suppress(OSError):  # such as: the target was removed
        exchange(draft, name, folder.fd)
        if _same(_seen(folder, draft), ours):
            synced(folder)
            return
        exchange(draft, name, folder.fd)
    shown = folder.place.inside(name).shown
    raise Refused(f"{shown}: it changed more than once meanwhile; read it again. What stood there in between is kept as {draft}")


def _seen(folder: Folder, name: str) -> os.stat_result:
    return os.stat(name, dir_fd=folder.fd, follow_symlinks=False)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


def _version(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size, status.st_nlink
