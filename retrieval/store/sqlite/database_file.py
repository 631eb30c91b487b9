"""The file of a SQLite database: who may read it, whether it is still there, and how much room is left beside it."""

import os
from pathlib import Path
from typing import Literal

OWN_FILE, OWN_FOLDER = 0o600, 0o700  # it holds the documents and conversations of all keys
SIDE_FILES = ("-wal", "-shm")  # SQLite gives new ones the mode of the database
Identity = tuple[int, int]  # device, inode


class DatabaseFile:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity: Identity | None = None

    def create(self) -> None:
        """Creates what is missing, for its owner alone, and takes the rights of others away. A folder that is there already, and is not
        empty, keeps its mode: other things lie in it. Raises OSError."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=OWN_FOLDER)
        _close_folder(self.path.parent)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), OWN_FILE))
        for path in (self.path, *(self.path.with_name(self.path.name + suffix) for suffix in SIDE_FILES)):
            _close_file(path)
        self.remember()

    def remember(self) -> None:
        """Which file it is now."""
        self._identity = self._found()

    def state(self) -> Literal["same", "replaced", "missing"]:
        """Against the file that was remembered. Connections to a file that has been deleted go on without any error, into nothing."""
        found = self._found()
        return "missing" if found is None else "same" if found == self._identity else "replaced"

    def left_open(self) -> bool:
        """Whether the last process that had it open did not close it."""
        try:
            return self.path.with_name(f"{self.path.name}-wal").stat().st_size > 0
        except OSError:
            return False

    def free_bytes(self) -> int | None:
        """Room on its disk for this process; None: the folder is gone, or the system does not say."""
        try:
            found = os.statvfs(self.path.parent)
        except (OSError, AttributeError):  # AttributeError: Windows
            return None
        return found.f_bavail * found.f_frsize

    def on_read_only_disk(self) -> bool:
        try:
            return bool(os.statvfs(self.path.parent).f_flag & os.ST_RDONLY)
        except (OSError, AttributeError):
            return False

    def _found(self) -> Identity | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino


def _close_file(path: Path) -> None:
    """On files of others, and on disks without modes, nothing changes."""
    try:
        if path.stat().st_mode & 0o077:
            path.chmod(OWN_FILE)
    except OSError:
        return


def _close_folder(folder: Path) -> None:
    try:
        if folder.stat().st_uid == os.geteuid() and not any(folder.iterdir()):
            folder.chmod(OWN_FOLDER)
    except (OSError, AttributeError):  # AttributeError: Windows
        return
