"""Room on the disk that is kept for deletions: SQLite needs some to delete anything."""

import os
import sqlite3
from pathlib import Path

from retrieval.store.sqlite.database_file import OWN_FILE, DatabaseFile

SIZE = 4 << 20  # bytes
MARGIN = 2 << 20  # bytes that the reserve leaves free when little is left
SHORT = 16 << 20  # free bytes under which space that deletions free is given back to the disk
VACUUM_PAGES = 256  # of the database, moved per step


class Reserve:
    """A file beside the database that is deleted before a deletion on a full disk, and written again after it."""

    def __init__(self, file: DatabaseFile) -> None:
        self._file = file
        self._path = file.path.with_name(f"{file.path.name}-reserve")

    def fill(self) -> None:
        """To SIZE, or to what the disk has. Whatever goes wrong: there is less reserve then."""
        free, held = self._file.free_bytes() or 0, self._held()
        wanted = min(SIZE, held + free - MARGIN)
        if wanted > held:
            try:
                _allocate(self._path, wanted)
            except OSError:
                return

    def short(self) -> bool:
        free = self._file.free_bytes()
        return free is not None and free < SHORT

    def release(self) -> None:
        self._path.unlink(missing_ok=True)

    def _held(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0


def give_back(connection: sqlite3.Connection) -> None:
    """Shrinks database and log to what they hold, in steps that need little room. `connection`: outside of transactions."""
    while True:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        (shrinks,), (free_pages,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("auto_vacuum", "freelist_count"))
        if not shrinks or not free_pages:
            return
        connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()


def _allocate(path: Path, size: int) -> None:
    """Raises OSError."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT, OWN_FILE)
    try:
        os.posix_fallocate(handle, 0, size)
    except AttributeError:  # macOS, Windows
        os.write(handle, bytes(size))
    finally:
        os.close(handle)
