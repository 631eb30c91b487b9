"""Catalog of a MariaDB or MySQL server from information_schema. The SQL is fixed; names are bound as values."""

from collections.abc import Sequence
from typing import Any

from mcp_servers.sql.api import Column, ForeignKey, Index, Item, Kind, Shape
from mcp_servers.sql.mariadb_wire import Session

OWN = "NOT IN ('information_schema', 'performance_schema', 'mysql', 'sys')"
TABLES = f"""
    SELECT table_schema, table_name, NULL, NULL, IF(table_type = 'VIEW', NULL, table_comment), IF(table_type = 'VIEW', NULL, table_rows)
    FROM information_schema.tables WHERE table_schema {OWN} AND table_type"""
ITEMS: dict[Kind, str] = {
    "schema": f"SELECT NULL, schema_name, NULL, NULL, NULL, NULL FROM information_schema.schemata WHERE schema_name {OWN} ORDER BY 2",
    "table": f"{TABLES} IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY 1, 2",
    "view": f"{TABLES} = 'VIEW' ORDER BY 1, 2",
    "column": f"""
        SELECT table_schema, column_name, table_name, column_type, column_comment, NULL FROM information_schema.columns
        WHERE table_schema {OWN} ORDER BY 1, 3, ordinal_position""",
    "index": f"""
        SELECT table_schema, index_name, table_name, group_concat(column_name ORDER BY seq_in_index SEPARATOR ', '), NULL, NULL
        FROM information_schema.statistics WHERE table_schema {OWN} GROUP BY 1, 3, 2 ORDER BY 1, 3, 2""",
    "function": f"""
        SELECT routine_schema, routine_name, NULL, concat(routine_type, ' -> ', dtd_identifier), routine_comment, NULL
        FROM information_schema.routines WHERE routine_schema {OWN} ORDER BY 1, 2""",
}
COLUMNS = """
    SELECT column_name, column_type, is_nullable, column_default, column_comment FROM information_schema.columns
    WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position"""
FOREIGN = """
    SELECT constraint_name, column_name, referenced_table_schema, referenced_table_name, referenced_column_name
    FROM information_schema.key_column_usage WHERE table_schema = %s AND table_name = %s AND referenced_table_name IS NOT NULL
    ORDER BY constraint_name, ordinal_position"""
INDEXES = """
    SELECT index_name, non_unique, column_name FROM information_schema.statistics WHERE table_schema = %s AND table_name = %s
    ORDER BY index_name, seq_in_index"""
DEFINITION = "SELECT view_definition FROM information_schema.views WHERE table_schema = %s AND table_name = %s"


def items(session: Session, kind: Kind, most: int) -> list[Item]:
    return [
        Item(kind=kind, schema_name=schema, name=name, table=table, type=type_, comment=comment or None, rows_estimate=estimate)
        for schema, name, table, type_, comment, estimate in session.run(f"{ITEMS[kind]} LIMIT {most:d}")
    ]


def shape(session: Session, table: Item) -> Shape:
    indexes = _indexes(session, table)
    definition = _all(session, DEFINITION, table)
    return Shape(
        columns=[
            Column(
                name=name, type=type_, nullable=nullable == "YES", default=None if default == "NULL" else default, comment=comment or None
            )
            for name, type_, nullable, default, comment in _all(session, COLUMNS, table)
        ],
        primary_key=[column for index in indexes if index.name == "PRIMARY" for column in index.columns],
        foreign_keys=_foreign_keys(session, table),
        indexes=[index for index in indexes if index.name != "PRIMARY"],
        definition=definition[0][0] if definition else None,
    )


def _foreign_keys(session: Session, table: Item) -> list[ForeignKey]:
    found: dict[str, ForeignKey] = {}
    for name, column, schema, other, far in _all(session, FOREIGN, table):
        entry = found.setdefault(name, ForeignKey(columns=[], references=f"{schema}.{other}", referenced_columns=[]))
        entry.columns.append(column)
        entry.referenced_columns.append(far)
    return list(found.values())


def _indexes(session: Session, table: Item) -> list[Index]:
    found: dict[str, Index] = {}
    for name, repeated, column in _all(session, INDEXES, table):
        found.setdefault(name, Index(name=name, columns=[], unique=not repeated)).columns.append(column or "(expression)")
    return list(found.values())


def _all(session: Session, sql: str, table: Item) -> list[Sequence[Any]]:
    return session.run(sql, [table.schema_name, table.name])
