"""PostgreSQL. Each call has its own connection and BEGIN READ ONLY with short timeouts, drops superuser rights, uses the extended
protocol (one statement only), runs DECLARE CURSOR with the statement as a subquery (only a query parses there) and rolls back.
Writing as a superuser is refused: only the account's rights protect the system catalogs, in which functions are defined.

Sources: PostgreSQL manual, SET TRANSACTION, DECLARE, 54.2.3 Extended Query, 21.5 Predefined Roles.
"""

import re
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, LiteralString, cast

import psycopg
from psycopg import sql as compose
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import set_json_loads
from psycopg.types.string import TextLoader

from mcp_servers.common import Clock
from mcp_servers.sql import policy, postgres_catalog
from mcp_servers.sql.api import Changed, Item, Kind, Limits, NoSuchName, Parameters, Rows, Shape, SqlError
from mcp_servers.sql.ending import LOST, PATIENCE, Ending, watched
from mcp_servers.sql.lexer import POSTGRES, Token, tokens, written
from mcp_servers.sql.postgres_wrap import Wrapped, described, know_arrays, wrap
from mcp_servers.sql.source import Source
from mcp_servers.sql.values import exact_json, gather

MODES = """
    SET client_encoding = 'UTF8'; SET standard_conforming_strings = on; SET backslash_quote = off; SET jit = off;
    SET datestyle = 'ISO, YMD'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'hex'"""  # the lexer relies on the first three
# As text: exact, and Python has no infinite dates, and writes ranges in its own way.
RANGES = tuple(f"{of}{kind}" for of in ("int4", "int8", "num", "date", "ts", "tstz") for kind in ("range", "multirange"))
AS_TEXT = ("date", "time", "timetz", "timestamp", "timestamptz", "interval", "numeric", *RANGES)
UNKNOWN = re.compile(r'(?P<table>relation "(.+?)" does not exist)|column (?:"(.+?)"|(\S+)) (?:of relation .+ )?does not exist')
TEMPORARY = "256MB"  # disk space for temporary files; only a superuser may set it
READER = "pg_read_all_data"
HAZARDS = """
    SELECT rolsuper, ARRAY(
        SELECT r::text FROM unnest(ARRAY['pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program']) AS r
        WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = r) AND pg_has_role(current_user, r, 'member'))
    FROM pg_roles WHERE rolname = current_user"""
ALMIGHTY = "SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN (current_user, session_user)"
BOUNDED = (
    "the account is a superuser, which could change the server's own tables and with them run programs: `execute` needs a role of "
    "its own (CREATE ROLE stoa LOGIN PASSWORD '...'; GRANT pg_read_all_data, pg_write_all_data TO stoa)"
)
NOTHING: tuple[bool, list[str]] = (False, [])
FUNCTIONS = """
    SELECT DISTINCT p.proname::text, n.nspname = 'pg_catalog' FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE p.provolatile = 'v' AND (lower(p.proname COLLATE "C") = ANY($1)
    OR (lower(p.proname COLLATE "C") = ANY($2) AND p.pronargs > 0 AND p.pronargs - p.pronargdefaults <= 1))"""
UNLIMITED = "SELECT current_setting('temp_file_limit') = '-1'"

Connection = psycopg.Connection[Any]


class Postgres:
    def __init__(self, source: Source, limits: Limits) -> None:
        self._source = source
        self._limits = limits

    def query(self, sql: str, parameters: Parameters, max_rows: int, clock: Clock) -> Rows:
        found = tokens(sql, POSTGRES)
        policy.postgres_reading(found)
        text, order = written(found, parameters, numbered=True)
        values = [parameters[name] for name in order]
        with self._reading(clock) as connection:
            self._judge(connection, found, write=False)
            self._lower(connection)
            wrapped = wrap(connection, text, max_rows + 1, self._limits)
            with psycopg.RawServerCursor(connection, "stoa") as cursor:
                cursor.execute(compose.SQL(cast(LiteralString, wrapped.sql)), values)
                return gather(wrapped.columns, _fetched(cursor, wrapped), max_rows, self._limits, clock)

    def explain(self, sql: str, parameters: Parameters, clock: Clock) -> list[str]:
        found = tokens(sql, POSTGRES)
        policy.postgres_reading(found)
        text, order = written(found, parameters, numbered=True)
        with self._reading(clock) as connection:
            self._judge(connection, found, write=False)
            self._lower(connection)
            wrap(connection, text, 1, self._limits)  # fails unless it is a query
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(compose.SQL(cast(LiteralString, f"EXPLAIN {text}")), [parameters[name] for name in order])
                return [line for (line,) in cursor]

    def execute(self, sql: str, parameters: Parameters, dry_run: bool, clock: Clock) -> Changed:
        found = tokens(sql, POSTGRES)
        policy.postgres_writing(found)
        text, order = written(found, parameters, numbered=True)
        began, ending = time.monotonic(), Ending(clock)
        with self._transaction("BEGIN", ending) as connection:
            _expect_bounds(connection)
            self._judge(connection, found, write=True)
            know_arrays(connection, described(connection, text))  # fails unless it is a single statement
            with psycopg.RawCursor(connection) as cursor:
                cursor.execute(compose.SQL(cast(LiteralString, text)), [parameters[name] for name in order])
                columns = [column.name for column in cursor.description or ()]
                rows = gather(columns, cursor, self._limits.max_rows, self._limits, clock) if columns else None
                affected = cursor.rowcount if cursor.rowcount >= 0 else None
            if not dry_run:
                ending.commit()
                connection.execute("COMMIT")
        took = round((time.monotonic() - began) * 1000, 2)
        return Changed(affected=affected, committed=not dry_run, returned=rows, elapsed_ms=took)

    def items(self, kind: Kind, clock: Clock) -> list[Item]:
        with self._reading(clock) as connection:
            return postgres_catalog.items(connection, kind, self._limits.objects)

    def shape(self, table: Item, clock: Clock) -> Shape:
        with self._reading(clock) as connection:
            return postgres_catalog.shape(connection, table)

    def quoted(self, *names: str) -> str:
        return ".".join('"' + name.replace('"', '""') + '"' for name in names)

    def warnings(self, clock: Clock) -> list[str]:
        with self._reading(clock) as connection:
            superuser, roles = connection.execute(HAZARDS).fetchone() or NOTHING
            (unlimited,) = connection.execute(UNLIMITED).fetchone() or (False,)
        rights = ["a superuser"] if superuser else [f"a member of {role}" for role in roles]
        advice = "its rights are put aside for queries, but give a role that may only SELECT what is asked for"
        advice += "; `execute` refuses it" if superuser else ""
        found = [f"the account is {', '.join(rights)}: {advice}"] if rights else []
        if unlimited and not superuser:  # for superusers _lower sets the limit
            found.append(f"a query may fill the server's disk: ALTER ROLE ... SET temp_file_limit = '{TEMPORARY}' stops that")
        return found

    def _judge(self, connection: Connection, found: Sequence[Token], write: bool) -> None:
        """Raises SqlError for volatile functions: built-in ones reach files, locks and settings, and others may do so too."""
        named = policy.postgres_calls(found), policy.postgres_attributes(found)
        unknown = [
            [name for name in names if not policy.HARMLESS.fullmatch(name) and not (write and policy.SEQUENCES.fullmatch(name))]
            for names in named
        ]
        with psycopg.RawCursor(connection) as cursor:
            for name, own in cursor.execute(FUNCTIONS, unknown):
                if own or not write:
                    raise SqlError(f"{name}(): not allowed; it is marked VOLATILE, so it may do more than read")

    def _lower(self, connection: Connection) -> None:
        """Switches a superuser to the role READER, which can only read all tables. Raises SqlError before PostgreSQL 14."""
        superuser, _ = connection.execute(HAZARDS).fetchone() or NOTHING
        if not superuser:
            return
        if connection.info.server_version < 140_000:
            raise SqlError(f"the account is a superuser, and this server is too old to put its rights aside: it has no {READER}")
        connection.execute(compose.SQL("SET LOCAL temp_file_limit = {}").format(TEMPORARY))
        connection.execute(compose.SQL("SET LOCAL ROLE {}").format(compose.Identifier(READER)))

    def _reading(self, clock: Clock) -> AbstractContextManager[Connection]:
        return self._transaction("BEGIN READ ONLY", Ending(clock))

    @contextmanager
    def _transaction(self, begin: LiteralString, ending: Ending) -> Generator[Connection]:
        """A transaction on a new connection; closing it rolls back whatever was not committed."""
        ending.clock.check()
        milliseconds = max(1, round(self._limits.seconds * 1000))
        with (
            self._explained(ending),
            self._connected() as connection,
            watched(ending, lambda: _cancel(connection), connection.fileno()),
        ):
            connection.execute(begin)
            for name, most in (
                ("statement_timeout", milliseconds),
                ("lock_timeout", min(2000, milliseconds)),
                ("idle_in_transaction_session_timeout", milliseconds + 5000),
            ):
                connection.execute(compose.SQL("SET LOCAL {} = {}").format(compose.Identifier(name), most))
            yield connection

    @contextmanager
    def _connected(self) -> Generator[Connection]:
        known: Mapping[str, Any] = {"connect_timeout": PATIENCE, "application_name": "stoa", "tcp_user_timeout": 30_000}
        given = conninfo_to_dict(self._source.url)
        connection = psycopg.connect(
            self._source.url, autocommit=True, prepare_threshold=None, **{k: v for k, v in known.items() if k not in given}
        )
        try:
            connection.execute(MODES)
            for name in AS_TEXT:
                connection.adapters.register_loader(name, TextLoader)
            set_json_loads(exact_json, connection)
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _explained(self, ending: Ending) -> Generator[None]:
        try:
            yield
        except psycopg.errors.QueryCanceled:  # a cancelled COMMIT is rolled back, too
            ending.clock.stop()
            ending.clock.check()
        except (psycopg.Error, UnicodeError, OverflowError) as error:
            if ending.stop():
                ending.clock.check()
            said = getattr(error, "diag", None)
            text = "\n".join(part for part in (said.message_primary, said.message_detail, said.message_hint) if part) if said else ""
            lost = LOST if ending.committing and isinstance(error, psycopg.OperationalError) else ""
            raise _error(self._source.clean(text or error), lost, error) from None


def _error(text: str, lost: str, error: Exception) -> SqlError:
    """`text`: what the database says. Its own hints quote names wrongly: they are replaced by those of the catalog."""
    known = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn)
    if known and (found := UNKNOWN.match(text)):
        name = next(name for name in found.groups()[1:] if name)
        return NoSuchName(f"PostgreSQL: {found[0]}{lost}", "table" if found["table"] else "column", name)
    advice = "; `query` only reads: what changes rows is for `execute`" if "data-modifying statement" in text else ""
    return SqlError(f"PostgreSQL: {text}{advice}{lost}")


def _expect_bounds(connection: Connection) -> None:
    """Raises SqlError for superusers."""
    (almighty,) = connection.execute(ALMIGHTY).fetchone() or (True,)
    if almighty:
        raise SqlError(BOUNDED)


def _fetched(cursor: Any, wrapped: Wrapped) -> Iterator[Sequence[Any]]:
    while rows := cursor.fetchmany(wrapped.batch):
        yield from map(wrapped.read, rows)


def _cancel(connection: Connection) -> None:
    """Asks the server to end the statement."""
    with suppress(psycopg.Error):
        connection.cancel_safe(timeout=PATIENCE)
