"""Catalog of a PostgreSQL database from pg_catalog. The SQL is fixed; names are bound as values."""

from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg

from mcp_servers.sql.api import Column, ForeignKey, Index, Item, Kind, Shape

OWN = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
RELATIONS: LiteralString = f"""
    SELECT n.nspname, c.relname, NULL, NULL, obj_description(c.oid, 'pg_class'), CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint END
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE {OWN} AND c.relkind::text = ANY(%s) AND has_schema_privilege(n.oid, 'usage') ORDER BY 1, 2"""
ITEMS: dict[Kind, LiteralString] = {
    "schema": f"""
        SELECT NULL, n.nspname, NULL, NULL, obj_description(n.oid, 'pg_namespace'), NULL::bigint FROM pg_catalog.pg_namespace AS n
        WHERE {OWN} AND has_schema_privilege(n.oid, 'usage') ORDER BY 2""",
    "table": RELATIONS,
    "view": RELATIONS,
    "column": f"""
        SELECT n.nspname, a.attname, c.relname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum), NULL::bigint
        FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
        JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {OWN} AND c.relkind IN ('r', 'p', 'f', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
        AND has_schema_privilege(n.oid, 'usage') ORDER BY 1, 3, a.attnum""",
    "index": f"""
        SELECT n.nspname, i.relname, c.relname, pg_get_indexdef(i.oid), obj_description(i.oid, 'pg_class'), NULL::bigint
        FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid
        JOIN pg_catalog.pg_class AS c ON c.oid = x.indrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE {OWN} ORDER BY 1, 3, 2""",
    "function": f"""
        SELECT n.nspname, p.proname, NULL,
        '(' || pg_get_function_arguments(p.oid) || ') -> ' || coalesce(pg_get_function_result(p.oid), ''),
        obj_description(p.oid, 'pg_proc'), NULL::bigint
        FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE {OWN}
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend WHERE objid = p.oid AND deptype = 'e') ORDER BY 1, 2, 4""",
}
RELKINDS: dict[Kind, list[str]] = {"table": ["r", "p", "f"], "view": ["v", "m"]}
COLUMNS: LiteralString = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
    FROM pg_catalog.pg_attribute AS a LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum"""
KEYS: LiteralString = """
    SELECT k.contype::text, ARRAY(SELECT attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(n, o)
        JOIN pg_catalog.pg_attribute ON attrelid = k.conrelid AND attnum = u.n ORDER BY u.o),
    CASE WHEN k.confrelid <> 0 THEN k.confrelid::regclass::text END,
    ARRAY(SELECT attname::text FROM unnest(k.confkey) WITH ORDINALITY AS u(n, o)
        JOIN pg_catalog.pg_attribute ON attrelid = k.confrelid AND attnum = u.n ORDER BY u.o)
    FROM pg_catalog.pg_constraint AS k WHERE k.conrelid = %s AND k.contype IN ('p', 'f') ORDER BY k.conname"""
INDEXES: LiteralString = """
    SELECT i.relname, x.indisunique,
    ARRAY(SELECT pg_get_indexdef(i.oid, u.n, true) FROM generate_series(1, x.indnkeyatts) AS u(n) ORDER BY u.n)
    FROM pg_catalog.pg_index AS x JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid WHERE x.indrelid = %s ORDER BY 1"""
FIND: LiteralString = """
    SELECT c.oid, c.relkind::text FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relname = %s"""


def items(connection: psycopg.Connection[Any], kind: Kind, most: int) -> list[Item]:
    parameters = [RELKINDS[kind]] if kind in RELKINDS else None
    with connection.execute(ITEMS[kind], parameters) as cursor:
        return [
            Item(kind=kind, schema_name=schema, name=name, table=table, type=type_, comment=comment, rows_estimate=estimate)
            for schema, name, table, type_, comment, estimate in cursor.fetchmany(most)
        ]


def shape(connection: psycopg.Connection[Any], table: Item) -> Shape:
    found = connection.execute(FIND, [table.schema_name, table.name]).fetchone()
    if found is None:  # dropped since it was listed
        return Shape(columns=[])
    oid, kind = found
    keys = _all(connection, KEYS, oid)
    definition = _all(connection, "SELECT pg_get_viewdef(%s, true)", oid)[0][0] if kind in ("v", "m") else None
    return Shape(
        columns=[
            Column(name=name, type=type_, nullable=nullable, default=default, comment=comment)
            for name, type_, nullable, default, comment in _all(connection, COLUMNS, oid)
        ],
        primary_key=[name for kind, names, _, _ in keys if kind == "p" for name in names],
        foreign_keys=[
            ForeignKey(columns=names, references=other, referenced_columns=far) for kind, names, other, far in keys if kind == "f"
        ],
        indexes=[Index(name=name, columns=columns, unique=unique) for name, unique, columns in _all(connection, INDEXES, oid)],
        definition=definition,
    )


def _all(connection: psycopg.Connection[Any], sql: LiteralString, oid: int) -> Sequence[Any]:
    return connection.execute(sql, [oid]).fetchall()
