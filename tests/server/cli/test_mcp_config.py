"""`stoa mcp ...`, and what the API tells of the MCP servers."""

import asyncio
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from server.api.mcp import status
from server.cli.main import cli
from server.cli.mcp.config import McpClient, MissingOption, OwnServer, config
from server.http.context import RequestContext
from server.http.lists import NoQuery
from server.mcp.builtin import session_opener
from server.mcp.config.server_spec import CallLimits, ServerSpec, Stdio
from server.mcp.connection.connection import Connection
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.trust.pins import NoPins, ToolPins
from server.runtime.metrics import Metrics
from server.runtime.settings import Settings
from tests.server.mcp.mcp_fixture import TOOLS
from tests.server.mcp.mcp_host import FIXTURE, SECRET, fixture, hosting


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STOA_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("STOA_DATABASE_URL", raising=False)
    return tmp_path / "home"


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["mcp", *arguments])
    return done.exit_code, done.stdout, done.stderr


def configuration(folder: Path) -> str:
    entry = {"command": sys.executable, "args": ["-S", "-E", str(FIXTURE), str(folder)], "env": {"TOKEN": SECRET}}
    file = folder / "mcp.json"
    file.write_text(json.dumps({"mcpServers": {"fixture": entry, "none": {"command": str(folder / "none")}}}))
    return str(file)


@pytest.mark.parametrize("client", list(McpClient))
def test_every_client_gets_what_it_reads(client: McpClient, tmp_path: Path, home: Path) -> None:
    made = config(client, (OwnServer.FILES,), Settings(mcp_files=(str(tmp_path),)))
    entry = made["servers" if client is McpClient.VSCODE else "mcpServers"]["stoa-files"]
    assert entry["args"] == ["-m", "mcp_servers.files", str(tmp_path)]
    assert Path(entry["command"]).is_absolute()
    assert entry.get("type") == ("stdio" if client in (McpClient.VSCODE, McpClient.CLAUDE_CODE) else None)


def test_what_is_printed_starts_from_anywhere(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("found it")
    (tmp_path / "some.db").touch()
    monkeypatch.chdir(tmp_path)  # paths may be relative to where the command is given
    code, printed, note = run("config", "--server", "files", "--folder", "data", "--server", "database", "--database", "d=some.db")
    assert code == 0 and "claude_desktop_config.json" in note
    entries = json.loads(printed)["mcpServers"]
    monkeypatch.chdir("/")
    assert "found it" in asyncio.run(_call_tool(entries["stoa-files"], "read_text", {"path": "a.txt"}))
    assert "[[2]]" in asyncio.run(_call_tool(entries["stoa-database"], "query", {"sql": "SELECT 2 AS n"})).replace(" ", "").replace(
        "\n", ""
    )


async def _call_tool(entry: dict[str, Any], tool: str, arguments: dict[str, Any]) -> str:
    target = Stdio(command=entry["command"], args=tuple(entry["args"]), env=entry["env"])
    spec = ServerSpec(label="printed", target=target)
    connection = Connection(spec, session_opener(spec, None), NoPins(), RetryPolicy(connect_wait=25, failure_threshold=1))
    try:
        outcome = await connection.call(tool, arguments, None)
    finally:
        await connection.close()
    assert outcome.fault is None, outcome.text
    return outcome.text


def test_passwords_are_in_no_argument(home: Path) -> None:
    settings = Settings(mcp_database=("one=postgresql://me:hunter2@db/x?a=b", "mysql://me:hunter2@db/y"))
    entry = config(McpClient.CURSOR, (OwnServer.DATABASE,), settings)["mcpServers"]["stoa-database"]
    assert entry["args"] == ["-m", "mcp_servers.database", "one=env:STOA_DATABASE_1", "env:STOA_DATABASE_2"]
    assert entry["env"]["STOA_DATABASE_1"] == "postgresql://me:hunter2@db/x?a=b"
    assert entry["env"]["STOA_DATABASE_2"] == "mysql://me:hunter2@db/y"


def test_variables_stay_variables(home: Path) -> None:
    entry = config(McpClient.CURSOR, (OwnServer.DATABASE,), Settings(mcp_database=("env:DBURL", "x=env:OTHER")))["mcpServers"][
        "stoa-database"
    ]
    assert entry["args"] == ["-m", "mcp_servers.database", "env:DBURL", "x=env:OTHER"]
    assert set(entry["env"]) <= {"PYTHONPATH"}


def test_the_knowledge_base_is_the_same_one(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings(database_url="mine.db", embedding_model="other", query_prompt="query: ")
    env = config(McpClient.CURSOR, (OwnServer.KNOWLEDGE,), settings)["mcpServers"]["stoa-knowledge"]["env"]
    wanted = {
        "STOA_DATABASE_URL": str(tmp_path / "mine.db"),
        "STOA_EMBEDDING_MODEL": "other",
        "STOA_HOME": str(home),
        "STOA_QUERY_PROMPT": "query: ",
    }
    assert wanted.items() <= env.items()
    assert set(env) <= {*wanted, "PYTHONPATH"}


@pytest.mark.parametrize(("server", "says"), [(OwnServer.FILES, "--folder"), (OwnServer.DATABASE, "--database")])
def test_what_is_missing_is_named(server: OwnServer, says: str, home: Path) -> None:
    with pytest.raises(MissingOption, match=says):
        config(McpClient.CURSOR, (server,), Settings())
    code, printed, note = run("config", "--server", server)
    assert (code, printed) == (2, "") and says in note


def test_list_names_limits_of_tools_that_are_not_there(tmp_path: Path, home: Path) -> None:
    file = Path(configuration(tmp_path))
    servers = json.loads(file.read_text())["mcpServers"]
    limited = {**servers["fixture"], "toolLimits": {"eco": {"timeoutSeconds": 1}}}
    file.write_text(json.dumps({"mcpServers": {"fixture": limited}}))
    code, printed, _ = run("list", "--config", str(file))
    assert code == 0 and printed.endswith("\n  note: toolLimits: no tool 'eco' is offered\n")


def test_list_and_approve(tmp_path: Path, home: Path) -> None:
    file = configuration(tmp_path)
    code, printed, _ = run("list", "--config", file)
    assert code == 1  # one of them cannot be started
    assert "fixture (stdio, ready) fixture 1.2 2025-11-25\n  echo: Does echo\n" in printed
    assert "none (stdio, failed: " in printed and SECRET not in printed
    (tmp_path / "tools.json").write_text(json.dumps([{**TOOLS[0], "description": "Does more"}, TOOLS[1], {**TOOLS[2], "name": "n"}]))
    assert "echo [changed]: Does more" in run("list", "--config", file)[1]
    code, printed, _ = run("approve", "fixture", "--config", file)
    lines = printed.splitlines()
    assert code == 0
    assert lines[:3] == ["changed  echo: Does more", "same     environment: Does environment", "new      n: Does fail"]
    assert "gone     crash" in lines
    pinned = ToolPins(home).pinned_tools("fixture")
    assert pinned is not None and set(pinned) == {"echo", "environment", "n"}
    status = json.loads(run("list", "--config", file, "--json")[1])[0]
    assert status["digest"] == status["pinned"] and not any(tool["changed"] for tool in status["tools"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("approve", "nobody"), "there is no MCP server 'nobody'; configured: fixture, none"),
        (("approve", "none"), "cannot be reached"),
        (("login", "fixture"), "asks nobody for consent"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, home: Path, arguments: tuple[str, ...], says: str) -> None:
    code, printed, note = run(*arguments, "--config", configuration(tmp_path))
    assert (code, printed) == (1, "") and says in note


def test_status_of_the_api_and_measurements(tmp_path: Path) -> None:
    class FakeRuntime:
        tool_host: Any = None

    async def work() -> tuple[Any, str]:
        runtime: Any = FakeRuntime()
        context = RequestContext(runtime, "", {})
        assert (await status.list_servers(context, NoQuery())).data == []
        spec = replace(fixture(tmp_path), tool_limits={"nothing": CallLimits(timeout=1, max_output=1024)})
        async with hosting(tmp_path, spec) as runtime.tool_host:
            await runtime.tool_host.tools("fixture")
            await runtime.tool_host.call("fixture", "fail", {}, owner="")
            page = Metrics(dict, lambda: None, lambda: runtime.tool_host, lambda: None, lambda: None, lambda: None).exposition().decode()
            return (await status.list_servers(context, NoQuery())).data[0], page

    shown, page = asyncio.run(work())
    assert (shown.label, shown.kind, shown.state, shown.calls, shown.failures) == ("fixture", "stdio", "ready", 1, 1)
    assert shown.notes == ["toolLimits: no tool 'nothing' is offered"]
    assert [tool.name for tool in shown.tools] == [tool["name"] for tool in TOOLS]
    assert SECRET not in shown.model_dump_json()
    for line in ("calls_total", "failures_total", "ready"):
        assert f'stoa_mcp_{line}{{server="fixture"}} 1.0' in page
