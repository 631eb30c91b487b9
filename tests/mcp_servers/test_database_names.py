"""Names as SQL writes them, and statements that belong to another tool."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from mcp import Client

from mcp_servers.database import parse_source, server
from mcp_servers.sql.api import SqlError
from mcp_servers.sql.lexer import POSTGRES, tokens
from mcp_servers.sql.policy import reading
from mcp_servers.sql.search import unquoted
from mcp_servers.sql.values import exact_json, json_value


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ('"Order Details"', "Order Details"),
        ('"public"."Users"', "public.Users"),
        ("`a`.`b c`", "a.b c"),
        ("[a].[b]", "a.b"),
        ('"a""b"', 'a"b'),
        ("public.users", "public.users"),
        ('"', '"'),
    ],
)
def test_quotes_of_names_are_taken_off(name: str, plain: str) -> None:
    assert unquoted(name) == plain


def test_quoted_tables_are_described(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.db") as made:
        made.execute('create table "Order Details" (id integer)')
    made.close()

    async def said(tool: str, **arguments: str) -> str:
        async with Client(server([parse_source(str(tmp_path / "a.db"))])) as client:
            return str((await client.call_tool(tool, arguments)).content)

    assert "id" in asyncio.run(said("describe_table", table='"Order Details"'))


def test_explain_names_its_tool() -> None:
    with pytest.raises(SqlError, match="the tool `explain`"):
        reading(tokens("EXPLAIN SELECT 1", POSTGRES))


def test_numbers_in_json_columns_are_exact() -> None:
    row = exact_json('{"a": 1.10, "b": [0.5, 12345678901234567890.125], "c": 1e2}')
    assert json_value(row, 1000) == ({"a": "1.10", "b": [0.5, "12345678901234567890.125"], "c": "100"}, False)
