"""Which databases are served, and that no password is seen."""

import os
import subprocess
import sys
import time
from pathlib import Path

import anyio
import psycopg
import pytest
from mcp import Client, StdioServerParameters, stdio_client

from mcp_servers.common import Clock
from mcp_servers.sql.api import Limits, SourceError, SqlError
from mcp_servers.sql.open import open_database
from mcp_servers.sql.source import Source, distinct, parse_source, passwords
from tests.mcp_servers.mariadb_server import mariadb_server
from tests.retrieval.postgres_server import postgres_server

WORD = "tr0ub4dor&3"
QUOTED = "tr0ub4dor%263"


@pytest.mark.parametrize(
    ("given", "name", "engine"),
    [
        ("postgresql://ann:pw@host/shop", "shop", "postgresql"),
        ("postgres://host/shop", "shop", "postgresql"),
        ("mysql://host/shop", "shop", "mariadb"),
        ("other=mariadb://host:3307/shop", "other", "mariadb"),
        ("mysql://host", "mariadb", "mariadb"),
    ],
)
def test_sources(given: str, name: str, engine: str) -> None:
    source = parse_source(given)
    assert (source.name, source.engine) == (name, engine)


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a shop.db").touch()
    for given in (str(tmp_path / "a shop.db"), f"sqlite:///{tmp_path}/a shop.db", f"sqlite:///{tmp_path}/a%20shop.db"):
        source = parse_source(given)
        assert (source.name, source.file) == ("a-shop", tmp_path / "a shop.db")
    monkeypatch.setenv("SHOP", f"sqlite:///{tmp_path}/a shop.db")
    assert parse_source("x=env:SHOP").name == "x"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("/nowhere/x.db", "no file"),
        ("oracle://host/x", "not known"),
        ("env:NO_SUCH_VARIABLE", "not set"),
        ("postgresql://ann:half/of@host/x", "cannot be read"),
        ("sqlite:///:memory:", "no file"),
    ],
)
def test_sources_that_are_refused(given: str, why: str) -> None:
    with pytest.raises(SourceError, match=why) as error:
        parse_source(given)
    assert "half" not in str(error.value)


def test_two_of_one_name() -> None:
    with pytest.raises(SourceError, match="two databases are called 'shop'"):
        distinct([parse_source("mysql://a/shop"), parse_source("mysql://b/shop")])
    with pytest.raises(SourceError, match="give the URL"):
        distinct([])


def test_options_that_mariadb_does_not_know() -> None:
    with pytest.raises(SourceError, match="autocommit"):
        open_database(parse_source("mysql://host/shop?autocommit=1"), Limits())


def test_a_password_is_in_no_repr_and_no_message() -> None:
    source = parse_source(f"postgresql://ann:{QUOTED}@host/shop?password=also")
    assert passwords(source.url) == {WORD, QUOTED, "also"}
    assert WORD not in repr(source) and QUOTED not in repr(source)
    assert source.clean(f"no {source.url} with {WORD}, also") == "no postgresql://ann:***@host/shop?password=*** with ***, ***"


@pytest.mark.parametrize("scheme", ["postgresql", "mariadb"])
def test_a_server_that_does_not_answer(scheme: str) -> None:
    database = open_database(parse_source(f"{scheme}://ann:{QUOTED}@127.0.0.1:1/shop"), Limits(seconds=60))
    with pytest.raises(SqlError) as error:
        database.query("SELECT 1", {}, 1, Clock(60))
    assert WORD not in str(error.value) and QUOTED not in str(error.value)


def test_what_a_file_that_is_no_database_says(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("not a database, but long enough to be looked at " * 20)
    with pytest.raises(SqlError, match="not a database"):
        open_database(parse_source(str(tmp_path / "x.db")), Limits()).items("table", Clock(60))


def test_accounts_that_may_too_much_are_warned_of() -> None:
    with postgres_server() as postgres, mariadb_server() as mariadb:
        (warning,) = open_database(Source("a", "postgresql", postgres.url()), Limits()).warnings(Clock(60))
        assert "superuser" in warning
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE reader LOGIN")
            reader = open_database(Source("a", "postgresql", postgres.url().replace("postgres@", "reader@", 1)), Limits())
            (warning,) = reader.warnings(Clock(60))
            assert "temp_file_limit" in warning
            connection.execute("ALTER ROLE reader SET temp_file_limit = '1GB'")
            assert reader.warnings(Clock(60)) == []
        (warning,) = open_database(Source("b", "mariadb", mariadb.url()), Limits()).warnings(Clock(60))
        assert "ALL PRIVILEGES" in warning
        mariadb.run("CREATE USER reader", "GRANT SELECT ON mysql.* TO reader")
        assert open_database(Source("b", "mariadb", mariadb.url("reader")), Limits()).warnings(Clock(60)) == []


def test_the_program_over_stdio(tmp_path: Path) -> None:
    (tmp_path / "shop.db").touch()
    arguments = ["-m", "mcp_servers.database", str(tmp_path / "shop.db"), "--write", "--max-rows", "7"]
    program = StdioServerParameters(command=sys.executable, args=arguments, cwd=str(Path(__file__).parents[2]))

    async def used() -> None:
        with open(os.devnull, "w") as errors:
            async with Client(stdio_client(program, errlog=errors)) as client:
                tools = {tool.name: tool for tool in (await client.list_tools()).tools}
                assert tools["query"].input_schema["properties"]["max_rows"]["maximum"] == 7
                await client.call_tool("execute", {"sql": "CREATE TABLE t (a INTEGER)"})
                assert (await client.call_tool("search_objects", {})).structured_content == {"names": ["main.t"], "total": 1}

    anyio.run(used)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux")
def test_the_process_list_shows_no_password() -> None:
    command = [sys.executable, "-m", "mcp_servers.database", f"mysql://ann:{QUOTED}@127.0.0.1:1/shop"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=Path(__file__).parents[2])
    try:
        assert process.stderr is not None
        said = process.stderr.readline()  # it warns of what it could not reach: after the arguments were hidden
        shown = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        began = time.monotonic()
        process.communicate()
    assert b"mcp_servers.database" in shown and QUOTED.encode() not in shown and b"mysql://ann:*" in shown
    assert b"shop: MariaDB" in said and WORD.encode() not in said
    assert time.monotonic() - began < 20


def test_bad_arguments_are_explained() -> None:
    command = [sys.executable, "-m", "mcp_servers.database", "/nowhere.db"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert ended.returncode == 2 and "no file" in ended.stderr
