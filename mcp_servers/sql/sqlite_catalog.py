"""Catalog of a SQLite file. The SQL is fixed; names are bound as values."""

import re
import sqlite3
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mcp_servers.sql.api import Column, ForeignKey, Index, Item, Kind, Shape

BROKEN = re.compile(r"no such |error in view ")
OWN = "schema = 'main' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'"
ITEMS: dict[Kind, str] = {
    "schema": "SELECT 'main', NULL, NULL",
    "table": f"SELECT name, NULL, NULL FROM pragma_table_list WHERE {OWN} AND type IN ('table', 'virtual') ORDER BY name",
    "view": "SELECT name, NULL, NULL FROM sqlite_schema WHERE type = 'view' ORDER BY name",
    "index": "SELECT name, tbl_name, NULL FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name",
    "function": "SELECT NULL, NULL, NULL WHERE 0",
}
WITH_COLUMNS = f"SELECT name FROM pragma_table_list WHERE {OWN} AND type != 'shadow' ORDER BY name"
COLUMNS = "SELECT c.name, ?1, c.type FROM pragma_table_xinfo(?1) AS c WHERE c.hidden != 1 ORDER BY c.cid"


def items(connection: sqlite3.Connection, kind: Kind, most: int) -> list[Item]:
    rows = list(islice(_columns(connection), most)) if kind == "column" else connection.execute(ITEMS[kind]).fetchmany(most)
    estimates = _estimates(connection) if kind == "table" else {}
    schema = None if kind == "schema" else "main"
    return [
        Item(kind=kind, schema_name=schema, name=name, table=table, type=type_, rows_estimate=estimates.get(name))
        for name, table, type_ in rows
    ]


def _columns(connection: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Without those of views that name what does not exist any more."""
    for (name,) in connection.execute(WITH_COLUMNS).fetchall():
        try:
            yield from _all(connection, COLUMNS, name)
        except sqlite3.OperationalError as error:
            if not BROKEN.match(str(error)):
                raise


def shape(connection: sqlite3.Connection, table: Item) -> Shape:
    columns = _all(connection, 'SELECT name, type, "notnull", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden != 1', table.name)
    definition = _all(connection, "SELECT sql FROM sqlite_schema WHERE name = ? AND type = 'view'", table.name)
    keys = sorted((key, name) for name, _, _, _, key in columns if key)
    return Shape(
        columns=[Column(name=name, type=type_, nullable=not filled, default=default) for name, type_, filled, default, _ in columns],
        primary_key=[name for _, name in keys],
        foreign_keys=_foreign_keys(connection, table.name),
        indexes=_indexes(connection, table.name),
        definition=definition[0][0] if definition else None,
    )


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[ForeignKey]:
    found: dict[int, ForeignKey] = {}
    for key, other, column, referenced in _all(
        connection, 'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', table
    ):
        entry = found.setdefault(key, ForeignKey(columns=[], references=other, referenced_columns=[]))
        entry.columns.append(column)
        if referenced is not None:  # None: refers to the primary key
            entry.referenced_columns.append(referenced)
    return list(found.values())


def _indexes(connection: sqlite3.Connection, table: str) -> list[Index]:
    listed = _all(connection, 'SELECT name, "unique" FROM pragma_index_list(?) ORDER BY name', table)
    return [
        Index(
            name=name,
            columns=[
                column or "(expression)" for (column,) in _all(connection, "SELECT name FROM pragma_index_info(?) ORDER BY seqno", name)
            ],
            unique=bool(unique),
        )
        for name, unique in listed
    ]


def _estimates(connection: sqlite3.Connection) -> dict[str, int]:
    """Row estimates by table, from ANALYZE if it ever ran; statistics of its indexes count, too."""
    if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").fetchone():
        return {}
    rows = connection.execute("SELECT tbl, max(CAST(stat AS INTEGER)) FROM sqlite_stat1 GROUP BY tbl").fetchall()
    return {table: int(count) for table, count in rows if count is not None}


def _all(connection: sqlite3.Connection, sql: str, name: str) -> list[Any]:
    return connection.execute(sql, (name,)).fetchall()
