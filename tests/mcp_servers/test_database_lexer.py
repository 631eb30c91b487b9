"""The lexer sees what the servers see: otherwise a statement could say one thing to it and another to them."""

import random
import time
from collections.abc import Iterator
from contextlib import suppress

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcp_servers.sql import policy
from mcp_servers.sql.api import SqlError
from mcp_servers.sql.lexer import MARIADB, POSTGRES, SQLITE, Grammar, Token, tokens, written
from mcp_servers.sql.mariadb_wire import FAILURES, SQL_MODE, Session
from mcp_servers.sql.postgres import MODES
from mcp_servers.sql.postgres_wrap import described
from tests.mcp_servers.mariadb_server import mariadb_server
from tests.retrieval.postgres_server import postgres_server

BOTH = pytest.mark.parametrize("grammar", [POSTGRES, MARIADB], ids=["postgres", "mariadb"])
PIECES = [
    *("'", "'", "''", "\\", "\\'", "E'", "e'", "N'", "x'", "U&'", '"', '""', "`", "$$", "$a$", "$", "#", "@", "?", ":", "::", ":="),
    *(
        "\n",
        " ",
        "\t",
        "--",
        "-- ",
        "/*",
        "*/",
        "/**/",
        "//",
        "!",
        "-",
        "+",
        "1",
        "1",
        "2e1",
        "a",
        "(",
        ")",
        ",",
        ",",
        ",",
        "1,1",
        "'a','b'",
    ),
]


def seen(sql: str, grammar: Grammar) -> list[tuple[str, str]]:
    return [(token.kind, token.text) for token in tokens(sql, grammar)]


def shown(sql: str, grammar: Grammar) -> str:
    return written(tokens(sql, grammar), {}, numbered=True)[0]


@BOTH
def test_comments_go_and_strings_stay(grammar: Grammar) -> None:
    assert shown("SELECT 'a -- b', /* ' */ 1 -- '\n + 2 ;", grammar) == "SELECT 'a -- b', 1 + 2"
    assert shown("SELECT 'it''s /* no comment */'", grammar) == "SELECT 'it''s /* no comment */'"


def test_postgres_alone() -> None:
    assert shown("SELECT /* a /* b */ c */ 1", POSTGRES) == "SELECT 1"
    assert seen("$a$ ' $$ $a$::text", POSTGRES) == [("string", "$a$ ' $$ $a$"), ("mark", "::"), ("word", "text")]
    assert seen(r"E'\'' 'x'", POSTGRES) == [("string", r"E'\''"), ("string", "'x'")]
    assert seen(r"'\' x", POSTGRES) == [("string", r"'\'"), ("word", "x")]
    assert shown("'a'\n'b'", POSTGRES) == "'a' 'b'"
    assert Token("quoted", '"A""b"').name == 'a"b'


def test_mariadb_alone() -> None:
    assert seen(r"'\'' x", MARIADB) == [("string", r"'\''"), ("word", "x")]
    assert seen("`a``b` # no\n1", MARIADB) == [("quoted", "`a``b`"), ("number", "1")]
    with pytest.raises(SqlError, match="would be executed"):
        tokens("SELECT 1 /*!50000 + 1 */", MARIADB)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("SELECT 'x", "not closed"),
        ("SELECT 1 /* x", "not closed"),
        ("SELECT $1", ":name"),
        ("1; 2", "one statement"),
        (" ; -- x", "no statement"),
    ],
)
def test_what_is_refused(sql: str, why: str) -> None:
    with pytest.raises(SqlError, match=why):
        tokens(sql, POSTGRES)


@pytest.mark.parametrize("sql", ["1e5", "10.5e3", "2e-3", ".5E+3", "1.", "1.e5", "5", "0x1F", "0o17", "0b11", "1_000", "1_0.0_1e1_0"])
def test_numbers_of_postgres(sql: str) -> None:
    assert seen(f"SELECT {sql}", POSTGRES)[1:] == [("number", sql)]


@pytest.mark.parametrize("sql", ["12from", "1a", "1e", "1e+", "0x", "0xg", "1__0", "1_", "0b12", "1.5x", "1.e", "1.2.3a", "1$a$"])
def test_numbers_that_run_into_names(sql: str) -> None:
    with pytest.raises(SqlError, match="runs into a name"):
        tokens(f"SELECT {sql}", POSTGRES)


LONG = [
    *("1" * 50_000, "1_" * 25_000, "1." * 25_000, "1e" * 25_000, ".1" * 25_000, "0x" + "1" * 50_000, "1" * 50_000 + "x"),
    *("'" + "''" * 25_000, '"' + '""' * 25_000, "`" + "``" * 25_000, "E'" + "\\'" * 25_000, "$a" * 25_000, "$a$" * 16_000, "[" * 50_000),
    *("/*" * 25_000 + "*/", "/*" * 16_000 + "*/" * 16_000),
]


@pytest.mark.parametrize("grammar", [POSTGRES, MARIADB, SQLITE], ids=["postgres", "mariadb", "sqlite"])
@pytest.mark.parametrize("sql", LONG, ids=lambda sql: sql[:6])
def test_long_statements_are_read_in_no_time(sql: str, grammar: Grammar) -> None:
    began = time.thread_time()
    with suppress(SqlError):
        tokens(f"SELECT {sql}", grammar)
    assert time.thread_time() - began < 5


def test_many_parameters() -> None:
    names = [f"a{place}" for place in range(8000)]
    began = time.thread_time()
    text, order = written(tokens(", ".join(f":{name}" for name in names), POSTGRES), dict.fromkeys(names, 1), numbered=True)
    assert order == names and text.endswith("$8000") and time.thread_time() - began < 5


@pytest.mark.parametrize("sql", ["DROP SCHEMA shop", "CREATE SCHEMA a CREATE TABLE b (c INT)", "CREATE TABLE z (a INT) ENGINE = Aria"])
def test_what_execute_does_not_run_on_mariadb(sql: str) -> None:
    with pytest.raises(SqlError):
        policy.mariadb_writing(tokens(sql, MARIADB))


def test_strings_do_not_end_at_a_doubled_quote() -> None:
    for grammar, sql in ((POSTGRES, r"SELECT E'a''\'"), (MARIADB, r"SELECT 'a''\'")):
        with pytest.raises(SqlError, match="not closed"):
            tokens(sql, grammar)


def test_parameters() -> None:
    found = tokens("SELECT :a, ':a', :b::text, :a -- :c", POSTGRES)
    assert written(found, {"a": 1, "b": 2}, numbered=True) == ("SELECT $1, ':a', $2::text, $1", ["a", "b"])
    found = tokens("SELECT :a, `:a`, @x := :b, :a", MARIADB)
    assert written(found, {"a": 1, "b": 2}, numbered=False) == ("SELECT ?, `:a`, @x := ?, ?", ["a", "b", "a"])


@given(st.text(alphabet="'\"`\\$/*-#;:Ee1a(,) \n\x00é", max_size=60))
def test_what_is_written_reads_the_same(sql: str) -> None:
    for grammar in (POSTGRES, MARIADB, SQLITE):
        try:
            found = tokens(sql, grammar)
        except SqlError:
            continue
        if not any(token.kind == "parameter" for token in found):
            assert seen(written(found, {}, numbered=False)[0], grammar) == [(token.kind, token.text) for token in found]


def soup(count: int) -> Iterator[str]:
    chance = random.Random(4)
    for _ in range(count):
        yield "SELECT " + "".join(chance.choices(PIECES, k=chance.randrange(1, 14)))


def columns(found: list[Token]) -> int:
    depth = commas = 0
    for token in found:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        commas += token.text == "," and depth == 0
    return commas + 1 if len(found) > 1 else 0  # PostgreSQL takes a SELECT of nothing


def test_postgres_sees_as_many_columns() -> None:
    checked = 0
    with postgres_server() as server, psycopg.connect(server.url(), autocommit=True) as connection:
        connection.execute(MODES)
        for sql in soup(4000):
            try:
                found = tokens(sql, POSTGRES)
                assert len(described(connection, written(found, {}, numbered=True)[0])) == columns(found), sql
            except (SqlError, psycopg.Error):
                continue
            checked += 1
    assert checked > 100


def test_mariadb_sees_as_many_columns() -> None:
    checked = 0
    with mariadb_server() as server:
        session = Session({"unix_socket": f"{server.folder}/socket", "user": "root", "ssl_disabled": True})
        assert session.run("SELECT @@sql_mode")[0][0] == SQL_MODE
        for sql in soup(4000):
            try:
                found = tokens(sql, MARIADB)
                policy.mariadb_check(found)
                with session.streamed(written(found, {}, numbered=False)[0]) as answer:
                    assert len(answer.columns) == columns(found), sql
            except (SqlError, *FAILURES):
                if session.closed:
                    session = Session({"unix_socket": f"{server.folder}/socket", "user": "root", "ssl_disabled": True})
                continue
            checked += 1
        session.close()
    assert checked > 100
