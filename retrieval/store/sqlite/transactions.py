"""Transactions on one SQLite file: WAL, one writer at a time."""

import sqlite3
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import URL, Connection, create_engine, event, select

from retrieval.api import DatabaseFault
from retrieval.store.catalog import probe_write
from retrieval.store.guard import Guard
from retrieval.store.schema import facts
from retrieval.store.sqlite.database_file import DatabaseFile
from retrieval.store.sqlite.faults import ALMOST_FULL, explain, from_os_error
from retrieval.store.sqlite.reserve import Reserve, give_back

BUSY_TIMEOUT = 60  # seconds a writer waits for writers of other processes
CHECKED_BYTES = 64 << 20  # databases up to this size are checked at every start, larger ones if they were not closed
PRAGMAS = (
    "page_size = 8192",  # bytes, for new databases; fits five vectors of 384 dimensions
    "auto_vacuum = INCREMENTAL",  # for new databases: pages that are free can be given back to the disk (reserve.py)
    "journal_mode = WAL",
    "synchronous = FULL",  # committed transactions survive power loss
    "foreign_keys = ON",
    "secure_delete = FAST",  # some builds write zeros over what is deleted: on a full disk there is no room for that
    "cache_size = -65536",  # KiB
    "mmap_size = 1073741824",
)


class SQLiteTransactions:
    """Implements dialect.Transactions. `create_tables`: called with a new file, and where another has taken its place."""

    def __init__(self, path: Path, create_tables: Callable[[], None]) -> None:
        self._create_tables = create_tables
        self._file = DatabaseFile(path)
        self._reserve = Reserve(self._file)
        self._guard = Guard(lambda error: explain(error, self._file))
        self._engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT}, max_overflow=-1)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(stoa_writes=True)
        self._writers = RLock()  # writers of this process queue here; SQLite's own lock is polled with sleeps

    def open(self) -> None:
        path = self._file.path
        try:
            left_open = self._file.left_open()
            self._file.create()
            if left_open or 0 < path.stat().st_size <= CHECKED_BYTES:
                self._check_pages()
            self._create_tables()
        except OSError as error:
            raise from_os_error(error, path) from None
        self._reserve.fill()

    @contextmanager
    def writing(self) -> Generator[Connection]:
        self._expect_file()
        self._expect_room()
        with self._write() as connection:
            yield connection
        if self._reserve.short():  # a long log could not be copied into the database once the disk is full
            self._give_back()

    @contextmanager
    def _write(self) -> Generator[Connection]:
        with self._guard.writing(), self._alone(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def removing(self) -> Generator[Connection]:
        self._expect_file()
        short = self._reserve.short()
        if short:
            self._reserve.release()
            self._give_back()
        try:
            with self._write() as tx:
                yield tx
            if short:
                self._give_back()
        finally:
            self._reserve.fill()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        self._expect_file()
        with self._guard.reading(), self._engine.begin() as connection:
            yield connection

    def check(self) -> None:
        self._expect_file()
        if self._file.on_read_only_disk():
            raise DatabaseFault("read_only", f"{self._file.path} lies on a disk that is mounted read-only")
        self._expect_room()
        with self.reading() as tx:
            tx.execute(select(facts.c.value)).all()
        if self._guard.fault is not None:
            with self.writing() as tx:
                probe_write(tx)

    @property
    def fault(self) -> DatabaseFault | None:
        try:
            self._expect_room()
        except DatabaseFault as fault:
            return fault
        return self._guard.fault

    def free_bytes(self) -> int | None:
        return self._file.free_bytes()

    def close(self) -> None:
        self._engine.dispose()

    def _check_pages(self) -> None:
        """Raises DatabaseFault if pages of the file contradict one another."""
        with self._guard.reading(), self._engine.connect() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
        if found != "ok":
            raise DatabaseFault("damaged", f"{self._file.path}: {found}; restore a copy, or save what can be read: sqlite3 FILE .recover")

    @contextmanager
    def _alone(self) -> Generator[None]:
        """Writers of this process wait in memory, as long as SQLite itself lets them wait for those of others."""
        if not self._writers.acquire(timeout=BUSY_TIMEOUT):
            raise DatabaseFault("busy", f"{self._file.path}: another writer has held it for {BUSY_TIMEOUT} seconds")
        try:
            yield
        finally:
            self._writers.release()

    def _expect_file(self) -> None:
        """Opens the file again where another has taken its place, such as a restored copy. Raises DatabaseFault."""
        match self._file.state():
            case "missing":
                raise DatabaseFault("missing", f"{self._file.path} is gone")
            case "replaced":
                with self._alone():
                    self._reopen()
            case _:
                pass

    def _expect_room(self) -> None:
        """The last of it is for deletions. Raises DatabaseFault."""
        free = self._file.free_bytes()
        if free is not None and free < ALMOST_FULL:
            raise DatabaseFault("full", f"{free} bytes are free beside {self._file.path}")

    def _reopen(self) -> None:
        if self._file.state() != "replaced":
            return
        self._engine.dispose()
        self._file.remember()
        self._create_tables()

    def _give_back(self) -> None:
        """Whatever goes wrong: there is less room then."""
        with suppress(DatabaseFault), self._guard.reading(), self._alone():
            connection = self._engine.raw_connection()
            try:
                driver = connection.driver_connection
                assert isinstance(driver, sqlite3.Connection)
                give_back(driver)
            finally:
                connection.close()


def _configure(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by _begin
    for pragma in PRAGMAS:
        _execute_when_free(connection, f"PRAGMA {pragma}")


def _execute_when_free(connection: sqlite3.Connection, statement: str) -> None:
    """Retries on SQLITE_BUSY: when several processes create a database at once, enabling WAL ignores the busy timeout."""
    end = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute(statement)
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("stoa_writes") else "BEGIN")
