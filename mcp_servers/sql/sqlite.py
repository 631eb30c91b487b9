"""SQLite. Statements are checked during compilation by an authorizer with an allow list, installed last. In addition: the file is
opened read-only, query_only is on, trusted_schema is off, memory is limited, and a progress handler enforces the time limit.
Source: sqlite.org/security.html, sqlite.org/c3ref/set_authorizer.html."""

import re
import sqlite3
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, contextmanager, suppress
from queue import Empty, Queue
from threading import BoundedSemaphore, Thread
from typing import Any, Literal, TypeVar
from urllib.parse import quote

from mcp_servers.common import Clock, Stopped
from mcp_servers.sql import sqlite_catalog
from mcp_servers.sql.api import Changed, Item, Kind, Limits, NoSuchName, Parameters, Rows, Shape, SqlError
from mcp_servers.sql.ending import Ending
from mcp_servers.sql.lexer import SQLITE, check_names, strict, tokens
from mcp_servers.sql.policy import DEFINES, unexplained
from mcp_servers.sql.source import Source
from mcp_servers.sql.values import Cut, gather

Mode = Literal["read", "write", "catalog"]
STEPS = 2000  # virtual machine instructions between checks of the clock
READING = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
WRITING = READING | {
    *(sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE),
    *(sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_TRIGGER),
    *(sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_VIEW, sqlite3.SQLITE_DROP_TRIGGER),
    *(sqlite3.SQLITE_ALTER_TABLE, sqlite3.SQLITE_REINDEX, sqlite3.SQLITE_ANALYZE),
}
LOOKS = {"table_info", "table_xinfo", "index_list", "index_info", "index_xinfo", "foreign_key_list", "table_list", "data_version"}
DENIED = {"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"}
UNKNOWN = re.compile(r"no such (table|column): (.+)")
LIMITS = {
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 100_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 100,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 500,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 20,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
VALUE = 1_000_000  # maximum bytes of a value or row, including intermediate ones
ROW = 32 * 2**20  # maximum bytes of all values of a row
# Bytes. Sorting happens in memory, under this limit, instead of filling the disk. SQLite's heap limit is per process, so it leaves
# room for the caches of other open databases.
HEAP = 512 * 2**20
SLOTS = 4  # concurrent statements
GRACE = 0.3  # seconds between checks whether a statement is over its time
T = TypeVar("T")
WAIT = 2.0  # seconds to wait for a slot or for the lock of another process


class Sqlite:
    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._slots = BoundedSemaphore(SLOTS)

    def query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        sql = _strict(sql, parameters)
        return self._ended(lambda: self._query(sql, parameters, max_rows, clock), Ending(clock))

    def _query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        with self._open("read", clock) as connection, closing(self._executed(connection, sql, parameters)) as cursor:
            if cursor.description is None:
                raise SqlError("the statement gives no rows: `query` reads, with SELECT, VALUES or WITH")
            return gather([_label(column[0]) for column in cursor.description], cursor, max_rows, self._limits, clock)

    def explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        sql = _strict(sql, parameters)
        return self._ended(lambda: self._explain(sql, parameters, clock), Ending(clock))

    def _explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        with self._open("read", clock) as connection:
            depth = {0: -1}
            lines: list[str] = []
            for node, parent, _, detail in connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict(parameters)):
                depth[node] = depth.get(parent, -1) + 1
                lines.append("  " * depth[node] + detail)
            return lines

    def execute(self, sql: str, parameters: Parameters, dry_run: bool, clock: Clock) -> Changed:
        sql = _strict(sql, parameters)
        ending = Ending(clock)
        return self._ended(lambda: self._execute(sql, parameters, dry_run, ending), ending)

    def _execute(self, sql: str, parameters: Parameters, dry_run: bool, ending: Ending) -> Changed:
        began, clock = time.monotonic(), ending.clock
        with self._open("write", clock) as connection:
            before = connection.total_changes
            with closing(self._executed(connection, sql, parameters)) as cursor:
                columns = [_label(column[0]) for column in cursor.description or ()]
                rows = gather(columns, cursor, self._limits.max_rows, self._limits, clock) if columns else None
                for _ in cursor:  # fetch rows beyond max_rows, too, to complete the statement
                    clock.check()
            affected = connection.total_changes - before
            connection.set_authorizer(None)
            if not dry_run:
                ending.commit()
                connection.execute("COMMIT")
        took = round((time.monotonic() - began) * 1000, 2)
        return Changed(affected=affected, committed=not dry_run, returned=rows, elapsed_ms=took)

    def items(self, kind: Kind, clock: Clock) -> list[Item]:
        with self._open("catalog", clock) as connection:
            return sqlite_catalog.items(connection, kind, self._limits.objects)

    def shape(self, table: Item, clock: Clock) -> Shape:
        with self._open("catalog", clock) as connection:
            return sqlite_catalog.shape(connection, table)

    def quoted(self, *names: str) -> str:
        return quoted(*names)

    def warnings(self, clock: Clock) -> list[str]:
        return []

    def _executed(self, connection: sqlite3.Connection, sql: str, parameters: Parameters) -> sqlite3.Cursor:
        """Sets the size limit per value, smaller for more columns, before execute(), which already computes the first row."""
        width = self._limits.columns
        with suppress(sqlite3.Error, sqlite3.Warning), closing(connection.execute(f"EXPLAIN {sql}", dict(parameters))) as program:
            width = max([1, *(count for _, name, _, count, *_ in program if name == "ResultRow")])
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(VALUE, ROW // width))
        return connection.execute(sql, dict(parameters))

    def _ended(self, job: Callable[[], T], ending: Ending) -> T:
        """Runs `job` in a thread and abandons it after its time: the progress handler is not called while a statement is prepared or
        during one function call, and trim() or printf() can take minutes. An abandoned job keeps its slot until it ends, which
        bounds their number. Raises Stopped, SqlError."""
        if not self._slots.acquire(timeout=WAIT):
            raise SqlError(f"{SLOTS} statements on {self._source.name} are still being ended; try later")
        results: Queue[T | Exception] = Queue()
        Thread(target=self._run, args=(job, results), daemon=True).start()
        while True:
            try:
                result = results.get(timeout=GRACE)
                break
            except Empty:
                if ending.stop():
                    ending.clock.check()
        if isinstance(result, Exception):
            raise result
        return result

    def _run(self, job: Callable[[], T], results: Queue[T | Exception]) -> None:
        try:
            results.put(job())
        except Exception as error:
            results.put(error)
        finally:
            self._slots.release()

    @contextmanager
    def _open(self, mode: Mode, clock: Clock) -> Generator[sqlite3.Connection]:
        with _explained(self._source, clock), closing(self._connect(mode)) as connection:
            connection.execute("PRAGMA trusted_schema=OFF")
            connection.execute("PRAGMA cache_size=-16000")
            connection.execute("PRAGMA temp_store=MEMORY")
            connection.execute(f"PRAGMA hard_heap_limit={HEAP}")  # SQLite keeps a lower existing limit
            _warm(connection)
            connection.execute("PRAGMA foreign_keys=ON" if mode == "write" else "PRAGMA query_only=ON")
            if mode == "write":
                connection.execute("BEGIN IMMEDIATE")
            connection.set_progress_handler(lambda: clock.over, STEPS)
            for limit, most in {**LIMITS, **self._given()}.items():
                connection.setlimit(limit, most)
            if mode != "catalog":
                connection.text_factory = self._text
                connection.set_authorizer(_authorizer(WRITING if mode == "write" else READING))
            yield connection

    def _connect(self, mode: Mode) -> sqlite3.Connection:
        address = f"file:{quote(str(self._source.file))}?mode={'rw' if mode == 'write' else 'ro'}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=WAIT, cached_statements=0)
        connection.text_factory = _decoded
        return connection

    def _text(self, data: bytes) -> str | Cut:
        most = self._limits.value_bytes
        return _decoded(data) if len(data) <= most else Cut(_decoded(data[:most]))

    def _given(self) -> Mapping[int, int]:
        return {
            sqlite3.SQLITE_LIMIT_LENGTH: VALUE,
            sqlite3.SQLITE_LIMIT_COLUMN: self._limits.columns,
            sqlite3.SQLITE_LIMIT_SQL_LENGTH: self._limits.statement + 100,
        }


def _decoded(data: bytes) -> str:
    """SQLite does not validate TEXT, so it may be invalid UTF-8."""
    return data.decode("utf-8", "replace")


def _warm(connection: sqlite3.Connection) -> None:
    """Loads the schema before the limits apply, since existing tables may exceed them, and connects virtual tables (full-text
    indexes), which the authorizer would take for table creation."""
    names = connection.execute("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'virtual'").fetchmany(100)
    for (name,) in names:
        with suppress(sqlite3.Error):  # module not available
            connection.execute(f"SELECT 1 FROM {quoted(name)} LIMIT 0").close()


def quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def _authorizer(allowed: set[int]) -> Callable[..., int]:
    def authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in DENIED:
            return sqlite3.SQLITE_DENY
        if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in LOOKS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_OK if action in allowed else sqlite3.SQLITE_DENY

    return authorize


def _strict(sql: str, parameters: Parameters) -> str:
    """The statement with names in double quotes never taken for texts. Definitions stay as they are: they are kept as written.
    Raises SqlError."""
    found = tokens(sql, SQLITE)
    unexplained(found)
    check_names([token.text[1:] for token in found if token.kind == "parameter"], parameters)
    return sql if found[0].is_word(*DEFINES) else strict(found)


def _label(column: str) -> str:
    """Of an expression: as it was before `strict`."""
    return column.replace("`", '"')


@contextmanager
def _explained(source: Source, clock: Clock) -> Generator[None]:
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError) as error:
        if isinstance(error, sqlite3.OperationalError) and "interrupted" in str(error):
            raise Stopped(f"stopped after {clock.seconds:g} s; ask for less at once") from None
        if isinstance(error, sqlite3.DatabaseError) and "authorized" in str(error):
            raise SqlError(f"not allowed: {error}; only what reads tables (query) or changes them (execute) is") from None
        said = f"SQLite: {source.clean(error)}"
        if unknown := UNKNOWN.search(said):
            raise NoSuchName(said, "table" if unknown[1] == "table" else "column", unknown[2]) from None
        raise SqlError(said) from None
    except MemoryError:
        raise SqlError(f"SQLite: it needs more than {HEAP // 2**20} MB of memory; sort or group less at once") from None
