"""Errors of SQLite, by their result codes (https://www.sqlite.org/rescode.html)."""

import errno
import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from retrieval.api import DatabaseFault, FaultKind
from retrieval.store.sqlite.database_file import DatabaseFile

KINDS: dict[int, FaultKind] = {
    sqlite3.SQLITE_BUSY: "busy",
    sqlite3.SQLITE_LOCKED: "busy",
    sqlite3.SQLITE_PROTOCOL: "busy",
    sqlite3.SQLITE_NOMEM: "busy",
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_READONLY: "read_only",
    sqlite3.SQLITE_PERM: "read_only",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_IOERR: "unreachable",
    sqlite3.SQLITE_CANTOPEN: "unreachable",
}
OS_KINDS: dict[int, FaultKind] = {errno.EROFS: "read_only", errno.EACCES: "read_only", errno.ENOSPC: "full", errno.EDQUOT: "full"}
ALMOST_FULL = 1 << 20  # free bytes under which the disk counts as full


def explain(error: Exception, file: DatabaseFile) -> DatabaseFault | None:
    """None for what the database is not to blame for, such as a violated constraint."""
    if isinstance(error, PoolExhausted):
        return DatabaseFault("busy", str(error))
    original = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(original, sqlite3.Error):
        return None
    code = getattr(original, "sqlite_errorcode", None)
    kind = None if code is None else KINDS.get(code & 0xFF)
    if kind is None:
        return None
    if kind in ("unreachable", "read_only"):
        kind = _disk_fault(file) or kind
    return DatabaseFault(kind, f"{file.path}: {original}")


def from_os_error(error: OSError, path: Path) -> DatabaseFault:
    """Of creating or opening the file."""
    return DatabaseFault(OS_KINDS.get(error.errno or 0, "unreachable"), f"{path} cannot be opened: {error.strerror}")


def _disk_fault(file: DatabaseFile) -> FaultKind | None:
    """What is wrong with the disk; None: nothing that can be seen."""
    if file.state() == "missing":
        return "missing"
    if file.on_read_only_disk():
        return "read_only"
    free = file.free_bytes()
    return "full" if free is not None and free < ALMOST_FULL else None
