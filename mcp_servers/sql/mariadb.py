"""MariaDB and MySQL. Each call has its own connection and START TRANSACTION READ ONLY with limits on time, memory and locks; the
statement goes through PREPARE (one statement only), its values through USING; then it is rolled back. READ ONLY does not stop DDL
(which commits implicitly), files, sequences and functions that wait: policy.py does, and an account without FILE.

Sources: MariaDB manual, START TRANSACTION, PREPARE, Statement Time Limits; MySQL manual, 13.3.1 and 13.5.
"""

import re
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Literal

from mcp_servers.common import Clock, Stopped
from mcp_servers.sql import mariadb_catalog, policy
from mcp_servers.sql.api import Changed, Item, Kind, Limits, NoSuchName, Parameters, Rows, Scalar, Shape, SqlError
from mcp_servers.sql.ending import LOST, Ending, watched
from mcp_servers.sql.lexer import MARIADB, Token, tokens, written
from mcp_servers.sql.mariadb_wire import FAILURES, Answer, Session, address, kill, number_and_text
from mcp_servers.sql.source import Source
from mcp_servers.sql.values import gather

READ = "START TRANSACTION READ ONLY"
WRITE = "START TRANSACTION"
MEMORY = 128 * 2**20  # bytes of server memory per session
TIMEOUTS = (1969, 3024)  # max_statement_time, max_execution_time
GONE = (0, 1927, 2006, 2013, 2014)  # error numbers of a lost connection
UNKNOWN: dict[object, Literal["table", "column"]] = {1146: "table", 1054: "column"}  # ER_NO_SUCH_TABLE, ER_BAD_FIELD_ERROR
QUOTED = re.compile("'([^']+)'")
NOT_UNDONE = 1196  # ER_WARNING_NOT_COMPLETE_ROLLBACK
# In all schemas: triggers, views and functions may change tables that the statement does not name.
UNSAFE = """
    SELECT CONCAT(t.table_schema, '.', t.table_name) FROM information_schema.tables AS t
    JOIN information_schema.engines AS e ON e.engine = t.engine WHERE t.table_type = 'BASE TABLE' AND e.transactions <> 'YES'
    AND t.table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys') ORDER BY 1 LIMIT 50"""
RISKY = ("ALL PRIVILEGES", "FILE", "SUPER", "SHUTDOWN", "PROCESS")


class MariaDB:
    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits
        self._address = address(source)

    def query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        found = tokens(sql, MARIADB)
        policy.mariadb_reading(found)
        policy.mariadb_check(found)
        with self._transaction(READ, Ending(clock)) as session:
            session.run("SET SESSION sql_select_limit = %s", [max_rows + 1])
            with _prepared(session, found, parameters) as answer:
                if len(answer.columns) > self._limits.columns:
                    raise SqlError(f"the query has {len(answer.columns)} columns; at most {self._limits.columns} are taken")
                rows = gather(answer.columns, answer, max_rows, self._limits, clock)
                notes = [f"{name}: a geometry; ST_AsText({name}) shows it as text" for name in answer.geometries]
                if rows.truncated:
                    session.close()
            warned = [] if rows.truncated else _warned(session)
            return rows.model_copy(update={"notes": [*rows.notes, *notes, *warned]})

    def explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        found = tokens(sql, MARIADB)
        policy.mariadb_reading(found)
        policy.mariadb_check(found)
        explain = [Token("word", "EXPLAIN"), replace(found[0], spaced=True), *found[1:]]
        with self._transaction(READ, Ending(clock)) as session, _prepared(session, explain, parameters) as answer:
            names = answer.columns
            return [", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True) if value is not None) for row in answer]

    def execute(self, sql: str, parameters: Parameters, dry_run: bool, clock: Clock) -> Changed:
        found = tokens(sql, MARIADB)
        policy.mariadb_writing(found)
        policy.mariadb_check(found)
        if dry_run and found[0].is_word(*policy.DEFINES, "truncate"):
            raise SqlError(f"dry_run: {found[0].text} cannot be rolled back here, so it was not tried")
        began, ending = time.monotonic(), Ending(clock)
        with self._transaction(WRITE, ending) as session:
            if dry_run and (kept := _unsafe(session)):
                raise SqlError(f"dry_run: not tried, for there are tables that cannot be rolled back, such as {kept[0]}")
            with _prepared(session, found, parameters) as answer:
                columns = answer.columns
                rows = gather(columns, answer, self._limits.max_rows, self._limits, clock) if columns else None
                affected = rows.row_count if rows else answer.affected
            if dry_run:
                _undo(session)
            else:
                ending.commit()
                session.run("COMMIT")
        took = round((time.monotonic() - began) * 1000, 2)
        return Changed(affected=affected, committed=not dry_run, returned=rows, elapsed_ms=took)

    def items(self, kind: Kind, clock: Clock) -> list[Item]:
        with self._transaction(READ, Ending(clock)) as session:
            return mariadb_catalog.items(session, kind, self._limits.objects)

    def shape(self, table: Item, clock: Clock) -> Shape:
        with self._transaction(READ, Ending(clock)) as session:
            return mariadb_catalog.shape(session, table)

    def quoted(self, *names: str) -> str:
        return ".".join("`" + name.replace("`", "``") + "`" for name in names)

    def warnings(self, clock: Clock) -> list[str]:
        with self._transaction(READ, Ending(clock)) as session:
            kept = _unsafe(session)
            grants = [str(grant).partition(" ON *.* ") for (grant,) in session.run("SHOW GRANTS")]
        everywhere = " ".join(rights for rights, on, _ in grants if on)
        rights = [right for right in RISKY if right in everywhere]
        advice = "give one that may only SELECT what is asked for"
        found = [f"the account has {', '.join(rights)} on everything: {advice}"] if rights else []
        if kept:
            found.append(f"not rolled back where a change of them fails half-way, and no dry_run: {', '.join(kept[:5])}, not of InnoDB")
        return found

    @contextmanager
    def _transaction(self, begin: str, ending: Ending) -> Generator[Session]:
        """A transaction on a new connection; closing it rolls back whatever was not committed."""
        ending.clock.check()
        with (
            self._explained(ending),
            closing(Session(self._address)) as session,
            watched(ending, lambda: kill(session, self._address), session.descriptor),
        ):
            session.run(f"SET SESSION {', '.join(self._settings(session.version))}")
            session.run(begin)
            yield session

    def _settings(self, version: str) -> list[str]:
        seconds = self._limits.seconds
        common = [
            "default_storage_engine = InnoDB",
            "lock_wait_timeout = 2",
            "innodb_lock_wait_timeout = 2",
            "group_concat_max_len = 1000000",
        ]
        if "mariadb" in version.lower():
            return [*common, f"max_session_mem_used = {MEMORY}", f"max_statement_time = {seconds:f}"]
        return [*common, f"max_execution_time = {max(1, round(seconds * 1000))}"]

    @contextmanager
    def _explained(self, ending: Ending) -> Generator[None]:
        try:
            yield
        except FAILURES as error:
            number, text = number_and_text(error)
            if number in TIMEOUTS:
                raise Stopped(f"stopped after {ending.clock.seconds:g} s; ask for less at once") from None
            if ending.stop():
                ending.clock.check()
            lost = LOST if ending.committing and number in GONE else ""
            said = f"MariaDB: {self._source.clean(text)}{lost}"
            if number in UNKNOWN and (name := QUOTED.search(text)):
                raise NoSuchName(said, UNKNOWN[number], name[1]) from None
            raise SqlError(said) from None


def _undo(session: Session) -> None:
    session.run("ROLLBACK")
    if any(number == NOT_UNDONE for _, number, _ in session.run("SHOW WARNINGS")):
        raise SqlError("dry_run: a table that cannot be rolled back was changed nevertheless, by a trigger or a function")


def _unsafe(session: Session) -> list[str]:
    """Tables of non-transactional engines, whose changes cannot be rolled back."""
    return [str(name) for (name,) in session.run(UNSAFE)]


@contextmanager
def _prepared(session: Session, found: Sequence[Token], parameters: Parameters) -> Generator[Answer]:
    """Sends the statement and string values as hexadecimal literals, which rules out injection."""
    text, order = written(found, parameters, numbered=False)
    values = {f"@stoa_{place}": _literal(parameters[name]) for place, name in enumerate(order)}
    session.run("SET " + ", ".join(f"{variable} = {value}" for variable, value in {"@stoa": _literal(text), **values}.items()))
    session.run("PREPARE stoa FROM @stoa")
    with session.streamed(f"EXECUTE stoa{' USING ' if values else ''}{', '.join(values)}") as answer:
        yield answer


def _literal(value: Scalar) -> str:
    match value:
        case None:
            return "NULL"
        case bool() | int() | float():
            return repr(value).upper()
        case str():
            return f"CONVERT(0x{value.encode().hex()} USING utf8mb4)" if value else "''"


def _warned(session: Session) -> list[str]:
    """Warnings about results cut on the server, such as a recursion or GROUP_CONCAT."""
    return [str(text) for _, _, text in session.run("SHOW WARNINGS LIMIT 5")]
