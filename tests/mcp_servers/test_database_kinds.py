"""What databases hold and say beyond the ordinary: values of every kind, names that are nearly right, servers that fall silent."""

import json
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from mcp_servers.sql.api import Limits
from mcp_servers.sql.ending import LOST
from mcp_servers.sql.mariadb_wire import Session, address
from mcp_servers.sql.source import parse_source
from tests.mcp_servers.databases import Shop, shops, text

POSTGRES = (
    "CREATE TYPE mood AS ENUM ('sad', 'ok')",
    "CREATE TYPE pair AS (a int, b numeric)",
    'CREATE TABLE "Users" (id int, "fullName" text)',
    'CREATE SCHEMA "Sales"',
    'CREATE TABLE "Sales"."Invoices" (id int)',
)
MARIADB = (
    "SET sql_mode = ''",
    "CREATE TABLE kinds (id bigint unsigned, b bit(8), h date, i datetime(6), k time, q geometry, s text character set latin1, "
    "t text character set utf8mb3, u bit(64))",
    "INSERT INTO kinds VALUES (18446744073709551615, b'10101010', '0000-00-00', '2020-01-01 10:00:00.5', '-838:59:59', point(1, 2), "
    "'café', 'café', b'1111111111111111111111111111111111111111111111111111111111111111')",
    "CREATE TABLE `Mixed Case` (`Id` int)",
)
SQLITE = ('CREATE TABLE "Order Details" ("Unit Price" real)', "CREATE VIEW broken AS SELECT gone FROM users")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    with shops(tmp_path_factory.mktemp("shop")) as found:
        with psycopg.connect(found["postgres"].source.url, autocommit=True) as connection:
            for statement in POSTGRES:
                connection.execute(statement.encode())
        with closing(Session({**address(found["mariadb"].source), "autocommit": True})) as session:
            for statement in MARIADB:
                session.run(statement)
        with closing(sqlite3.connect(found["sqlite"].source.file)) as file:
            for statement in SQLITE:
                file.execute(statement)
            file.commit()
        yield found


def row(shop: Shop, sql: str) -> list[Any]:
    result = shop.call("query", sql=sql)
    assert not result.is_error, text(result)
    (found,) = json.loads(text(result))["rows"]
    return found


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("'NaN'::float8, 'Infinity'::float4, '-Infinity'::numeric, -0.0::float8", ["NaN", "Infinity", "-Infinity", -0.0]),
        ("9007199254740993::int8, 12345678901234567890.10::numeric, 0.1::float4", ["9007199254740993", "12345678901234567890.10", 0.1]),
        ("int4range(1, 5), daterange(null, null), '{[1,3),[5,7)}'::int4multirange", ["[1,5)", "(,)", "{[1,3),[5,7)}"]),
        ("array[int4range(1, 5)], 'empty'::numrange", [["[1,5)"], "empty"]),
        (
            "array['sad'::mood, 'ok'], array[[1, 2], [3, null]], array[row(1, 2.50)::pair]",
            [["sad", "ok"], [[1, 2], [3, None]], ["(1,2.50)"]],
        ),
        ("array['\\xdead'::bytea], '\\x00ff'::bytea, ''::bytea", [[{"base64": "3q0="}], {"base64": "AP8="}, {"base64": ""}]),
        ("""'{"a": 1e999999999, "b": 1.10}'::json""", [{"a": "1E+999999999", "b": "1.10"}]),
        ("""('[' || repeat('9', 5000) || ']')::json""", [["9" * 5000]]),
        ("(repeat('[', 7000) || repeat(']', 7000))::json", ["[" * 7000 + "]" * 7000]),
        (
            "interval '1 year -1 hour', timestamptz 'infinity', date '4713-01-01 BC', time '24:00'",
            ["P1YT-1H", "infinity", "4713-01-01 BC", "24:00:00"],
        ),
        ("B'101', '12.34'::money, '(1,2)'::point, 'a'::\"char\", 'abc'::char(5)", ["101", "$12.34", "(1,2)", "a", "abc  "]),
    ],
)
def test_values_of_postgres(known: dict[str, Shop], sql: str, expected: list[Any]) -> None:
    assert row(known["postgres"], f"SELECT {sql}") == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("id, b, h, i, k FROM kinds", ["18446744073709551615", 170, "0000-00-00", "2020-01-01 10:00:00.500000", "-838:59:59"]),
        ("u, s, t FROM kinds", ["18446744073709551615", "café", "café"]),
        (
            "time'25:00:00', time'-00:00:01.5', timestamp'2020-01-01 00:00:00', date'2020-02-29'",
            ["25:00:00", "-00:00:01.5", "2020-01-01 00:00:00", "2020-02-29"],
        ),
        ("cast(null as time), 1e300, 0.10, x'00ff'", [None, 1e300, "0.10", {"base64": "AP8="}]),
    ],
)
def test_values_of_mariadb(known: dict[str, Shop], sql: str, expected: list[Any]) -> None:
    assert row(known["mariadb"], f"SELECT {sql}") == expected


def test_a_geometry_says_how_it_is_read(known: dict[str, Shop]) -> None:
    assert "ST_AsText(q) shows it as text" in text(known["mariadb"].call("query", sql="SELECT q FROM kinds"))


WRONG = [
    ("postgres", "SELECT * FROM usres", 'there are "Users", users (the quotes belong to it)'),
    ("postgres", "SELECT * FROM Sales.Invoices", 'there is "Sales"."Invoices" (the quotes belong to it)'),
    ("postgres", 'SELECT fullName FROM "Users"', 'there is "fullName" (the quotes belong to it)'),
    ("postgres", 'SELECT u."fullname" FROM "Users" u', 'there is "fullName" (the quotes belong to it)'),
    ("postgres", 'SELECT * FROM users WHERE name = "Ann"', "a text is written 'Ann'"),
    ("postgres", "WITH x AS (DELETE FROM users RETURNING *) SELECT * FROM x", "DELETE: `query` only reads"),
    ("postgres", "WITH x AS (UPDATE users SET id = 1 RETURNING *) SELECT * FROM x", "`query` only reads"),
    ("postgres", "SELECT * INTO copied FROM users", "INTO: `query` makes no tables"),
    ("mariadb", "SELECT * FROM `mixed case`", "`Mixed Case` (the quotes belong to it)"),
    ("mariadb", "SELECT nmae FROM users", "there is name"),
    ("mariadb", "SELECT * FROM users WHERE id = ?", "write :name"),
    ("sqlite", 'SELECT "nonexistent" FROM users', "no such column: nonexistent; double quotes are for names"),
    ("sqlite", 'SELECT * FROM users WHERE name = "Ann"', "a text is written 'Ann'"),
    ("sqlite", "SELECT * FROM users WHERE \"nmae\" = 'Ann'", "there is name"),
    ("sqlite", "SELECT * FROM orderdetails", '"Order Details"'),
    ("sqlite", "EXPLAIN SELECT 1", "the tool `explain`"),
]


@pytest.mark.parametrize(("kind", "sql", "expected"), WRONG)
def test_statements_that_are_nearly_right_are_answered_with_the_right_one(
    known: dict[str, Shop], kind: str, sql: str, expected: str
) -> None:
    result = known[kind].call("query", sql=sql)
    assert result.is_error and expected in text(result), text(result)


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ('SELECT "name" AS "My Name" FROM users ORDER BY "My Name"', ["My Name"]),
        ('SELECT "users"."name", "id" + 1 FROM "main"."users"', ["name", '"id" + 1']),
        ("SELECT 'it''s \"quoted\"', `id` FROM users -- \"x\"", ["'it''s \"quoted\"'", "id"]),
    ],
)
def test_names_in_double_quotes_stay_names_in_sqlite(known: dict[str, Shop], sql: str, columns: list[str]) -> None:
    result = known["sqlite"].call("query", sql=sql)
    assert not result.is_error and json.loads(text(result))["columns"] == columns


def test_a_text_in_double_quotes_changes_nothing_in_sqlite(known: dict[str, Shop]) -> None:
    result = known["sqlite"].call("execute", write=True, sql='UPDATE users SET name = "nobody"')
    assert result.is_error and "a text is written 'nobody'" in text(result)
    assert row(known["sqlite"], "SELECT count(*) FROM users WHERE name = 'nobody'") == [0]


def test_a_view_that_is_broken_hides_no_columns(known: dict[str, Shop]) -> None:
    assert "users.born" in text(known["sqlite"].call("search_objects", kind="column", pattern="born"))


class Line:
    """A connection to a Unix socket that goes dead when `mark` passes: nothing arrives any more, and nothing is closed."""

    def __init__(self, path: str, mark: bytes) -> None:
        self.path, self.mark, self.dead = path, mark, False
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listening.getsockname()[1]
        self.kept = [self.listening]
        self._start(self._accept)

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        threading.Thread(target=work, args=arguments, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, far = self.listening.accept()[0], socket.socket(socket.AF_UNIX)
                self.kept += [client, far]
                far.connect(self.path)
                self._start(self._pump, client, far)
                self._start(self._pump, far, client)

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self.dead = self.dead or self.mark in data
                if not self.dead:
                    target.sendall(data)

    def close(self) -> None:
        for each in self.kept:
            each.close()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ending", "mariadb_wire", "postgres"):
        monkeypatch.setattr(f"mcp_servers.sql.{module}.PATIENCE", 1)


def dead(shop: Shop, mark: bytes) -> tuple[Line, Shop]:
    """The shop behind a line."""
    if shop.family == "mariadb":
        line = Line(address(shop.source)["unix_socket"], mark)
        url = f"mariadb://root@127.0.0.1:{line.port}/{address(shop.source)['database']}"
    else:
        told = conninfo_to_dict(shop.source.url)
        line = Line(f"{told['host']}/.s.PGSQL.{told.get('port', 5432)}", mark)
        url = f"postgresql://postgres@127.0.0.1:{line.port}/{told['dbname']}?sslmode=disable"
    return line, Shop(shop.kind, parse_source(f"dead={url}"), shop.files, shop.state)


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
@pytest.mark.parametrize("mark", [b"", b"MARK"])
def test_a_server_that_falls_silent_is_given_up(known: dict[str, Shop], kind: str, mark: bytes) -> None:
    """At once, and in the middle of a statement."""
    line, shop = dead(known[kind], mark.hex().encode() if kind == "mariadb" and mark else mark)
    with closing(line):
        result = shop.call("query", Limits(seconds=1), sql="SELECT 'MARK'")
    assert result.is_error and line.dead


@pytest.mark.usefixtures("short")
def test_a_commit_that_is_never_answered_is_told(known: dict[str, Shop]) -> None:
    line, shop = dead(known["mariadb"], b"\x03COMMIT")  # 3: a query
    with closing(line):
        result = shop.call("execute", Limits(seconds=1), write=True, sql="INSERT INTO `Mixed Case` VALUES (1)")
    assert result.is_error and LOST in text(result) and line.dead


def test_another_server_behind_the_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            with listening.accept()[0] as client:
                client.sendall(bytes(5000))

        threading.Thread(target=answer, daemon=True).start()
        shop = Shop("mariadb", parse_source(f"odd=mariadb://root@127.0.0.1:{listening.getsockname()[1]}/x"), Path(), lambda: None)
        result = shop.call("query", sql="SELECT 1")
    assert result.is_error and "does not speak the protocol" in text(result)
