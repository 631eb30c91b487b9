"""The tools and resources of the database server, on SQLite, PostgreSQL and MariaDB."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import anyio
import psycopg
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, ResourceTemplateReference, TextResourceContents

from mcp_servers.common import Clock, Stopped
from mcp_servers.database import server
from mcp_servers.sql.api import Limits
from mcp_servers.sql.ending import Ending
from mcp_servers.sql.mariadb_wire import Session, address
from mcp_servers.sql.open import open_database
from mcp_servers.sql.source import Source, parse_source
from tests.mcp_servers.databases import Shop, shops, text

ALL = ("sqlite", "postgres", "mariadb")
ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Shop]]:
    with shops(tmp_path_factory.mktemp("shop")) as found:
        yield found


@pytest.fixture(params=ALL)
def shop(request: pytest.FixtureRequest, known: dict[str, Shop]) -> Shop:
    return known[request.param]


@pytest.fixture(params=("sqlite", "postgres-writer", "mariadb"))
def writer(request: pytest.FixtureRequest, known: dict[str, Shop]) -> Shop:
    return known[request.param]


def mariadb_of(shop: Shop) -> AbstractContextManager[Session]:
    return closing(Session({**address(shop.source), "autocommit": True}))


def content(result: CallToolResult) -> dict[str, Any]:
    assert not result.is_error, text(result)
    assert result.structured_content is not None
    return result.structured_content


def test_each_tool_is_closed_and_says_what_it_does(shop: Shop) -> None:
    async def listed() -> list[Any]:
        async with Client(server([shop.source], write=True)) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in anyio.run(listed)}
    assert list(tools) == ["search_objects", "describe_table", "query", "explain", "execute"]
    for tool in tools.values():
        assert tool.title and tool.description and tool.output_schema
        assert tool.input_schema["additionalProperties"] is False and tool.output_schema["type"] == "object"
        assert tool.annotations.read_only_hint is (tool.name != "execute") and tool.annotations.open_world_hint is False
    assert tools["execute"].annotations.destructive_hint is True


def test_without_write_there_is_no_execute(shop: Shop) -> None:
    async def refused() -> int:
        async with Client(server([shop.source])) as client:
            with pytest.raises(MCPError, match="Unknown tool: execute") as error:
                await client.call_tool("execute", {"sql": "DELETE FROM orders"})
        return error.value.code

    assert anyio.run(refused) == INVALID_PARAMS


def test_search_by_pattern_and_detail(shop: Shop) -> None:
    names = content(shop.call("search_objects"))["names"]
    assert {name.rpartition(".")[2] for name in names} >= {"users", "orders"} and names == sorted(names)
    assert [name.rpartition(".")[2] for name in content(shop.call("search_objects", pattern="USE"))["names"]] == ["users"]
    assert [name.rpartition(".")[2] for name in content(shop.call("search_objects", pattern="o*s"))["names"]] == ["orders"]
    columns = content(shop.call("search_objects", kind="column", table="orders", detail="summary"))["objects"]
    assert [column["name"] for column in columns] == ["id", "user_id", "total"] and all(column["type"] for column in columns)
    (table,) = content(shop.call("search_objects", pattern="orders", detail="full"))["tables"]
    assert [column["name"] for column in table["columns"]] == ["id", "user_id", "total"]
    assert [name.rpartition(".")[2] for name in content(shop.call("search_objects", kind="view"))["names"]] == ["adults"]
    assert "by_user" in text(shop.call("search_objects", kind="index"))


def test_pages_hold_everything_once(shop: Shop) -> None:
    whole, pages, cursor = content(shop.call("search_objects", kind="column"))["names"], [], ""
    while True:
        page = content(shop.call("search_objects", kind="column", limit=2, cursor=cursor))
        pages += page["names"]
        assert page["total"] == len(whole)
        if not (cursor := page.get("next_cursor", "")):
            break
    assert pages == whole


def test_cursors_of_others_are_refused(shop: Shop) -> None:
    cursor = content(shop.call("search_objects", kind="column", limit=2))["next_cursor"]
    assert "cursor" in text(shop.call("search_objects", kind="table", limit=2, cursor=cursor))
    assert shop.call("search_objects", cursor="x").is_error


def test_describe_table(shop: Shop) -> None:
    table = content(shop.call("describe_table", table="orders", sample=2))
    assert [(column["name"], column["nullable"]) for column in table["columns"]][1:] == [("user_id", False), ("total", True)]
    assert table["primary_key"] == ["id"]
    (key,) = table["foreign_keys"]
    assert key["columns"] == ["user_id"] and key["references"].rpartition(".")[2] == "users" and key["referenced_columns"] == ["id"]
    assert {"name": "by_user", "columns": ["user_id"], "unique": False} in table["indexes"]
    assert table["sample"]["columns"] == ["id", "user_id", "total"] and table["sample"]["row_count"] == 2
    assert "0" in next(column["default"] for column in table["columns"] if column["name"] == "total")
    view = content(shop.call("describe_table", table="adults", sample=0))
    assert view["kind"] == "view" and "born" in view["definition"] and "sample" not in view
    if shop.kind != "sqlite":
        assert content(shop.call("describe_table", table="users"))["comment"] == "People who buy"


def test_a_table_that_is_not_there_is_answered_with_those_that_are(shop: Shop) -> None:
    assert "users" in text(shop.call("describe_table", table="user"))
    assert "none called" in text(shop.call("describe_table", table='users"; DROP TABLE users; --'))


def test_names_that_look_like_sql(tmp_path: Path) -> None:
    path, name = tmp_path / "odd.db", 'a"b`c]; DROP TABLE x; --'
    with closing(sqlite3.connect(path)) as connection:
        connection.execute('CREATE TABLE "{}" ("select" TEXT)'.format(name.replace('"', '""')))
        connection.execute("INSERT INTO \"{}\" VALUES ('kept')".format(name.replace('"', '""')))
        connection.commit()
    shop = Shop("sqlite", parse_source(str(path)), tmp_path, lambda: None)
    assert content(shop.call("describe_table", table=name))["sample"]["rows"] == [["kept"]]


def test_query_gives_rows_and_their_shape(shop: Shop) -> None:
    sql = "SELECT u.name, count(*) AS n FROM users u JOIN orders o ON o.user_id = u.id WHERE u.id = :id OR u.id = :id GROUP BY u.name"
    found = content(shop.call("query", sql=sql, parameters={"id": 1}))
    assert (found["columns"], found["rows"], found["row_count"], found["truncated"]) == (["name", "n"], [["Ann", 2]], 1, False)
    assert found["elapsed_ms"] >= 0
    cut = content(shop.call("query", sql="SELECT id FROM users ORDER BY id DESC -- all", max_rows=2))
    assert cut["rows"] == [[3], [2]] and cut["truncated"] is True
    assert content(shop.call("query", sql="SELECT id FROM users;", max_rows=3))["truncated"] is False
    assert content(shop.call("query", sql="SELECT 1 AS a, 2 AS a"))["rows"] == [[1, 2]]
    assert content(shop.call("query", sql="SELECT name FROM users WHERE id = 0"))["rows"] == []


def test_values_as_json(shop: Shop) -> None:
    big = content(shop.call("query", sql="SELECT 9007199254740993 AS big, 2.5 AS part, NULL AS empty"))["rows"][0]
    assert big[0] == "9007199254740993" and float(big[1]) == 2.5 and big[2] is None
    assert content(shop.call("query", sql="SELECT born FROM users WHERE id = 1"))["rows"] == [["2000-02-01"]]
    assert float(content(shop.call("query", sql="SELECT total FROM orders WHERE id = 10"))["rows"][0][0]) == 9.5
    blob = {"sqlite": "x'00ff'", "postgres": "'\\x00ff'::bytea", "mariadb": "x'00ff'"}[shop.kind]
    assert content(shop.call("query", sql=f"SELECT {blob} AS b"))["rows"] == [[{"base64": "AP8="}]]


def test_postgres_values(known: dict[str, Shop]) -> None:
    sql = "SELECT '{\"a\": [1, null]}'::jsonb, ARRAY[1, 2], 'infinity'::timestamptz, 1.10::numeric, 'x'::char(3), '1 day'::interval"
    (row,) = content(known["postgres"].call("query", sql=sql))["rows"]
    assert row[:2] == [{"a": [1, None]}, [1, 2]] and row[2:] == ["infinity", "1.10", "x  ", "P1D"]


def test_long_values_are_cut_and_it_is_said(shop: Shop) -> None:
    sql = "SELECT hex(zeroblob(10000)) AS a" if shop.kind == "sqlite" else "SELECT repeat('ä', 20000) AS a"
    found = content(shop.call("query", sql=sql))
    assert len(found["rows"][0][0].encode()) <= 16 * 2**10 and "a: 1 value(s) cut" in found["notes"][0]


def test_bytes_are_bounded(shop: Shop) -> None:
    limits = Limits(seconds=60, max_bytes=2000)
    found = content(shop.call("query", limits, sql="SELECT a.name, b.name, c.name, d.name FROM users a, users b, users c, users d"))
    assert 5 < found["row_count"] < 81 and found["truncated"] is True and len(str(found["rows"])) < 3000


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "latin.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (a TEXT DEFAULT 'x')")
        connection.execute("INSERT INTO t VALUES (CAST(x'e974e9' AS TEXT)), ('é')")
        connection.commit()
    shop = Shop("sqlite", parse_source(str(path)), tmp_path, lambda: None)
    assert content(shop.call("query", sql="SELECT a FROM t"))["rows"] == [["\ufffdt\ufffd"], ["é"]]
    assert content(shop.call("describe_table", table="t"))["sample"]["row_count"] == 2


def test_what_cannot_be_rolled_back_is_not_tried(known: dict[str, Shop]) -> None:
    shop = known["mariadb"]
    database = open_database(shop.source, Limits())
    database.execute("CREATE TABLE log (id INTEGER)", {}, False, Clock(60))
    for engine in ("MyISAM", "Aria", "MEMORY"):
        with mariadb_of(shop) as session:
            session.run(f"ALTER TABLE log ENGINE = {engine}")
            session.run("INSERT INTO log VALUES (1), (2)")
        assert "cannot be rolled back" in text(shop.call("execute", write=True, sql="DELETE FROM log", dry_run=True))
        assert "cannot be rolled back" in text(shop.call("execute", write=True, sql="DELETE FROM orders", dry_run=True))
        assert content(shop.call("query", sql="SELECT count(*) > 1 FROM log"))["rows"] == [[1]]
        assert any("not rolled back" in warning and "log" in warning for warning in database.warnings(Clock(60)))
    database.execute("DROP TABLE log", {}, False, Clock(60))
    assert content(shop.call("execute", write=True, sql="DELETE FROM orders", dry_run=True))["affected"] == 3


@pytest.mark.parametrize("late", [False, True], ids=["before COMMIT", "during COMMIT"])
def test_what_was_stopped_is_not_committed(late: bool, writer: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time ends right before the decision to commit, or right after it: the answer is what happened."""
    shop, commit, before = writer, Ending.commit, writer.state()

    def slow(ending: Ending) -> None:
        if late:
            commit(ending)
        ending.clock.stop()
        time.sleep(0.5)  # longer than the others wait
        if not late:
            commit(ending)

    monkeypatch.setattr(Ending, "commit", slow)
    result = shop.call("execute", write=True, sql="UPDATE orders SET total = total + 1 WHERE id = 12")
    time.sleep(0.3)
    assert result.is_error == (shop.state() == before), text(result)
    assert late or "stopped after" in text(result)
    monkeypatch.undo()
    if not result.is_error:
        content(shop.call("execute", write=True, sql="UPDATE orders SET total = total - 1 WHERE id = 12"))


def test_of_stop_and_commit_only_one_happens() -> None:
    stopped, committed = Ending(Clock(0)), Ending(Clock(60))
    with pytest.raises(Stopped):
        stopped.commit()
    assert stopped.stop()
    committed.commit()
    committed.clock.stop()
    assert not committed.stop()


def test_parameters_that_do_not_fit(shop: Shop) -> None:
    assert "no value for :id" in text(shop.call("query", sql="SELECT :id"))
    assert "no :other" in text(shop.call("query", sql="SELECT 1", parameters={"other": 1}))
    assert content(shop.call("query", sql="SELECT ':id' AS a -- :id"))["rows"] == [[":id"]]
    assert shop.call("query", sql="SELECT :id", parameters={"id": [1]}).is_error


def test_explain_does_not_run(shop: Shop) -> None:
    plan = content(shop.call("explain", sql="SELECT * FROM orders WHERE user_id = :id", parameters={"id": 1}))["plan"]
    assert plan and "orders" in "\n".join(plan)


def test_errors_are_for_the_model(shop: Shop) -> None:
    assert "nope" in text(shop.call("query", sql="SELECT nope FROM users"))
    assert "users" in text(shop.call("describe_table", table="usres"))
    assert "source" in text(shop.call("query", sql="SELECT 1", source="other"))


def test_execute_changes_in_one_transaction(writer: Shop) -> None:
    shop = writer

    def run(sql: str, **more: Any) -> dict[str, Any]:
        return content(shop.call("execute", write=True, sql=sql, **more))

    before = shop.state()
    tried = run("DELETE FROM orders", dry_run=True)
    assert (tried["affected"], tried["committed"]) == (3, False) and shop.state() == before
    added = run("INSERT INTO users (id, name) VALUES (:id, :name) RETURNING id, name", parameters={"id": 7, "name": "Cy's"})
    assert added["returned"]["rows"] == [[7, "Cy's"]] and added["committed"] is True
    assert run("UPDATE users SET name = :name WHERE id > 2", parameters={"name": "x"})["affected"] == 2
    assert run("UPDATE users SET name = 'Çelik ''x''' WHERE id = 3")["affected"] == 1
    assert run("DELETE FROM users WHERE id = 7")["affected"] == 1
    assert shop.call("execute", write=True, sql="INSERT INTO users (id, name) VALUES (1, 'twice')").is_error
    run("CREATE TABLE later (id INTEGER PRIMARY KEY, name VARCHAR(20))")
    run("ALTER TABLE later ADD COLUMN more INTEGER")
    assert [column["name"] for column in content(shop.call("describe_table", table="later"))["columns"]] == ["id", "name", "more"]
    run("DROP TABLE later")


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])  # MariaDB ends such a query by itself
def test_progress_is_told_in_seconds(kind: str, known: dict[str, Shop], monkeypatch: pytest.MonkeyPatch) -> None:
    shop = known[kind]
    monkeypatch.setattr("mcp_servers.common.TICK", 0.05)
    seen: list[float] = []

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async def asked() -> CallToolResult:
        async with Client(server([shop.source], Limits(seconds=1.5))) as client:
            return await client.call_tool("query", {"sql": ENDLESS}, progress_callback=told)

    assert "stopped after" in text(anyio.run(asked))
    assert len(seen) >= 2 and seen == sorted(set(seen)) and 0 < seen[0] < 1.5


def test_full_text_tables_can_be_asked(known: dict[str, Shop]) -> None:
    found = content(known["sqlite"].call("query", sql="SELECT text FROM notes WHERE notes MATCH 'umbrella'"))
    assert found["rows"] == [["a lost umbrella"]]
    assert "main.notes_data" not in content(known["sqlite"].call("search_objects"))["names"]


def test_resources_and_their_completion(shop: Shop) -> None:
    async def used() -> None:
        async with Client(server([shop.source])) as client:
            (resource,) = (await client.list_resources()).resources
            overview = (await client.read_resource(str(resource.uri))).contents[0]
            assert isinstance(overview, TextResourceContents) and "users" in overview.text
            (template,) = (await client.list_resource_templates()).resource_templates
            reference = ResourceTemplateReference(uri=template.uri_template)
            (source,) = (await client.complete(reference, {"name": "source", "value": ""})).completion.values
            (schema, *_) = (await client.complete(reference, {"name": "schema", "value": ""}, {"source": source})).completion.values
            chosen = {"source": source, "schema": schema}
            assert (await client.complete(reference, {"name": "table", "value": "us"}, chosen)).completion.values == ["users"]
            described = (await client.read_resource(f"db://{source}/{schema}/users")).contents[0]
            assert isinstance(described, TextResourceContents) and '"primary_key":["id"]' in described.text
            for cursor in ("bogus", "", "WzFd"):
                with pytest.raises(MCPError, match="cursor"):
                    await client.list_resources(cursor=cursor)
            with pytest.raises(Exception, match="no table"):
                await client.read_resource(f"db://{source}/{schema}/nothing")

    anyio.run(used)


def test_more_resources_than_a_page_holds(known: dict[str, Shop]) -> None:
    async def listed() -> list[str]:
        async with Client(server([Source(f"s{place:03}", "sqlite", known["sqlite"].source.url) for place in range(130)])) as client:
            first = await client.list_resources()
            rest = await client.list_resources(cursor=first.next_cursor)
            assert len(first.resources) == 100 and rest.next_cursor is None
            return [resource.name for resource in (*first.resources, *rest.resources)]

    assert anyio.run(listed) == [f"s{place:03}" for place in range(130)]


def test_several_databases_are_told_apart(known: dict[str, Shop]) -> None:
    async def asked() -> list[CallToolResult]:
        async with Client(server([known["sqlite"].source, known["postgres-reader"].source])) as client:
            names = (await client.list_tools()).tools[0].input_schema["properties"]["source"]["enum"]
            calls = [{"source": name} for name in names]
            return [await client.call_tool("query", {"sql": "SELECT 1", **call}) for call in [*calls, {}]]

    first, second, neither = anyio.run(asked)
    assert not first.is_error
    assert not second.is_error
    assert "source: give one of shop" in text(neither)


def test_cancelling_a_call_ends_it_in_the_database(known: dict[str, Shop]) -> None:
    slow = "SELECT count(*) FROM generate_series(1, 1000000) AS a, generate_series(1, 1000000) AS b"
    shop = known["postgres"]

    def running() -> int:
        with psycopg.connect(shop.source.url, autocommit=True) as almighty:  # the tools may not see what others run
            sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'stoa' AND state = 'active'"
            return almighty.execute(sql).fetchall()[0][0]

    def wait_until_running(count: int) -> None:
        deadline = time.monotonic() + 60
        while running() != count and time.monotonic() < deadline:
            time.sleep(0.05)
        assert running() == count

    async def cancelled() -> None:
        async with Client(server([shop.source], Limits(seconds=300))) as client, anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "query", {"sql": slow})
            await anyio.to_thread.run_sync(wait_until_running, 1)
            tasks.cancel_scope.cancel()

    anyio.run(cancelled)
    wait_until_running(0)
