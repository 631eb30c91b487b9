"""Wraps a query in one that cuts long values on the server: otherwise a row of a gigabyte would be transferred whole."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import pq
from psycopg.types import TypeInfo

from mcp_servers.sql.api import Limits, SqlError
from mcp_servers.sql.values import Cut

BATCH = 4 * 2**20  # approximate bytes of values per fetch
BYTEA = 17
ARRAYS = """
    SELECT e.typname::text, e.oid, a.oid FROM pg_catalog.pg_type AS a JOIN pg_catalog.pg_type AS e ON e.typarray = a.oid
    WHERE a.oid = ANY(%s::oid[]) AND e.typdelim = ','"""
SHORT = {1, 2, 4, 8, 12, 16, 24, 32, 64}  # sizes in bytes of fixed-length types


@dataclass(frozen=True, slots=True)
class Wrapped:
    sql: str
    columns: Sequence[str]
    batch: int
    read: Callable[[Sequence[Any]], Sequence[Any]]


def wrap(connection: psycopg.Connection[Any], sql: str, rows: int, limits: Limits) -> Wrapped:
    """`sql` is one query with $1 ... for its parameters; the server parses it to get the column types. Raises SqlError,
    psycopg.Error."""
    columns = described(connection, sql)
    if not columns or len(columns) > limits.columns:
        raise SqlError(
            f"the query has {len(columns)} columns; at most {limits.columns} are taken" if columns else "the query has no columns"
        )
    know_arrays(connection, columns)
    wide = [place for place, (_, _, length) in enumerate(columns) if length not in SHORT]
    names = ", ".join(f"c{place}" for place in range(len(columns)))
    outer = ", ".join(
        piece for place, (_, type_, _) in enumerate(columns) for piece in (_cut(place, type_, limits) if place in wide else (f"c{place}",))
    )
    # OFFSET 0 prevents subquery inlining, which would evaluate a column once per reference
    text = f"SELECT {outer} FROM (SELECT * FROM ({sql}\n) AS s ({names}) OFFSET 0) AS q LIMIT {rows:d}"
    batch = max(1, min(rows, BATCH // max(1, len(wide) * limits.value_bytes)))
    return Wrapped(text, [name for name, _, _ in columns], batch, lambda row: _joined(row, len(columns), set(wide)))


def know_arrays(connection: psycopg.Connection[Any], columns: Sequence[tuple[str, int, int]]) -> None:
    """Lets the driver read arrays of the database's own types, such as enums: otherwise it gives their text."""
    unknown = sorted({type_ for _, type_, _ in columns if connection.adapters.types.get(type_) is None})
    if unknown:
        for name, oid, array in connection.execute(ARRAYS, [unknown]).fetchall():
            TypeInfo(name, oid, array).register(connection)


def described(connection: psycopg.Connection[Any], sql: str) -> list[tuple[str, int, int]]:
    """Name, type OID and size (-1: variable) of each column; nothing is run."""
    for result in (connection.pgconn.prepare(b"", sql.encode()), connection.pgconn.describe_prepared(b"")):
        if result.status != pq.ExecStatus.COMMAND_OK:
            raise psycopg.errors.error_from_result(result, encoding="utf-8")
    return [((result.fname(i) or b"").decode(), result.ftype(i), result.fsize(i)) for i in range(result.nfields)]


def _cut(place: int, type_: int, limits: Limits) -> tuple[str, str]:
    """Two SQL expressions: the value if short, else NULL; and the beginning of its text if long, else NULL."""
    column = f"c{place}"
    if type_ == BYTEA:
        return (
            f"CASE WHEN octet_length({column}) <= {limits.value_bytes} THEN {column} END",
            f"CASE WHEN octet_length({column}) > {limits.value_bytes} THEN substring({column} from 1 for {limits.value_bytes}) END",
        )
    return (
        f"CASE WHEN octet_length({column}::text) <= {limits.value_bytes} THEN {column} END",
        f"CASE WHEN octet_length({column}::text) > {limits.value_bytes} THEN left({column}::text, {limits.value_bytes}) END",
    )


def _joined(row: Sequence[Any], columns: int, wide: set[int]) -> list[Any]:
    values = iter(row)
    joined: list[Any] = []
    for place in range(columns):
        value = next(values)
        start = next(values) if place in wide else None
        joined.append(value if start is None else Cut(start))
    return joined
