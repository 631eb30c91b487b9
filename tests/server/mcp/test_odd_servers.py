"""Servers that send other things than MCP says: what is wrong costs what it is in, and nothing else."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.core.tool_host import ToolOutcome
from server.mcp.config.server_spec import ServerSpec, Stdio
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.host import McpHost
from server.mcp.transport.server_guard import MAX_UNREADABLE
from tests.server.mcp.mcp_host import hosting, until

SERVER = Path(__file__).with_name("odd_server.py")
ANY = {"type": "object", "properties": {}}
HELLO = {"name": "hello", "inputSchema": ANY}


@asynccontextmanager
async def odd(folder: Path, timeout: float = 60.0, policy: RetryPolicy | None = None, **script: Any) -> AsyncGenerator[McpHost]:
    path = folder / "script.json"
    path.write_text(json.dumps({"tools": [HELLO], **script}))
    spec = ServerSpec(label="odd", target=Stdio(command=sys.executable, args=("-S", "-E", str(SERVER), str(path))), timeout=timeout)
    async with hosting(folder, spec, policy or RetryPolicy(initial_delay=0.02, max_delay=0.1, connect_wait=60.0)) as host:
        yield host


async def listed(folder: Path, tools: Any, **script: Any) -> tuple[list[str], dict[str, str], tuple[str, ...]]:
    """The names of the tools on offer, why others are left out, and the notes."""
    async with odd(folder, tools=tools, **script) as host:
        names = [tool.name for tool in await host.tools("odd")]
        status = host.status()[0]
        return names, dict(status.left_out), status.notes


async def called(folder: Path, result: Any, **script: Any) -> ToolOutcome:
    async with odd(folder, calls={"hello": result}, **script) as host:
        return await host.call("odd", "hello", {}, owner="")


@pytest.mark.parametrize(
    ("odd_one", "reason"),
    [
        ({"name": "plain", "inputSchema": {"type": "array"}}, "not that of an object"),
        ({"name": "plain", "inputSchema": None}, "input schema is not an object"),
        ({"name": "plain"}, "input schema is not an object"),
        ({"name": "plain", "inputSchema": "none"}, "input schema is not an object"),
        ({"name": "plain", "inputSchema": ANY, "outputSchema": 5}, "output schema is not an object"),
        ({"name": "plain", "inputSchema": ANY, "execution": {"taskSupport": "required"}}, "as a task only"),
        ({"name": "pl ain", "inputSchema": ANY}, "its name must be"),
        ({"name": 5, "inputSchema": ANY}, "its name must be"),
        ({"inputSchema": ANY}, "its name must be"),
        ("plain", "it is no object"),
        (None, "it is no object"),
        ([HELLO], "it is no object"),
    ],
)
def test_an_odd_tool_costs_itself_alone(tmp_path: Path, odd_one: Any, reason: str) -> None:
    names, left_out, notes = asyncio.run(listed(tmp_path, [HELLO, odd_one, {"name": "last", "inputSchema": ANY}]))
    assert names == ["hello", "last"]
    assert len(left_out) == 1 and reason in next(iter(left_out.values()))
    assert len(notes) == 1 and reason in notes[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"inputSchema": {"properties": {"a": {"type": "string"}}}},
        {"inputSchema": ANY, "icons": "star.png"},
        {"inputSchema": ANY, "icons": [5]},
        {"inputSchema": ANY, "title": 5, "description": ["a", "list"]},
        {"inputSchema": ANY, "description": None, "annotations": None, "outputSchema": None, "_meta": None},
        {"inputSchema": ANY, "annotations": {"readOnlyHint": "yes please", "title": 5}},
        {"inputSchema": ANY, "annotations": "none"},
        {"inputSchema": ANY, "_meta": 5, "execution": "sometimes"},
        {"inputSchema": ANY, "outputSchema": {"properties": {"a": {"type": "string"}}}},
    ],
)
def test_a_tool_is_offered_without_its_odd_fields(tmp_path: Path, fields: dict[str, Any]) -> None:
    names, left_out, _ = asyncio.run(listed(tmp_path, [HELLO, {"name": "plain", **fields}]))
    assert (names, left_out) == (["hello", "plain"], {})


def test_a_hint_that_is_no_boolean_says_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        tools = [{"name": "plain", "inputSchema": ANY, "annotations": {"readOnlyHint": "yes", "idempotentHint": True}}]
        async with odd(tmp_path, tools=tools) as host:
            (tool,) = await host.tools("odd")
            assert tool.annotations == {"idempotentHint": True} and not tool.read_only

    asyncio.run(work())


@pytest.mark.parametrize("tools", [None, "none", {"hello": HELLO}, 5])
def test_a_list_that_is_none_is_an_error_that_says_so(tmp_path: Path, tools: Any) -> None:
    async def work() -> None:
        async with odd(tmp_path, tools=tools, policy=RetryPolicy(failure_threshold=1)) as host:
            await until(lambda: host.status()[0].state == "failed")
            assert host.status()[0].last_error == "its list of tools is none: there is no list in it"

    asyncio.run(work())


def test_pages_without_end_and_in_circles_give_what_they_hold(tmp_path: Path) -> None:
    first = {"tools": [HELLO], "nextCursor": "more"}
    names, _, notes = asyncio.run(listed(tmp_path, {"": first}))  # each further page names a new cursor
    assert names == ["hello"] and "only the first 100 pages" in notes[0]
    names, _, notes = asyncio.run(listed(tmp_path, {"": first, "more": {"tools": [], "nextCursor": "more"}}))
    assert names == ["hello"] and "in circles" in notes[0]
    names, _, notes = asyncio.run(listed(tmp_path, {"": first, "more": {"tools": 5}}))
    assert names == ["hello"] and "breaks off" in notes[0]


def test_many_and_equal_tools(tmp_path: Path) -> None:
    many = [{"name": f"tool{number}", "inputSchema": ANY} for number in range(3000)]
    names, left_out, notes = asyncio.run(listed(tmp_path, [HELLO, HELLO, *many]))
    assert len(names) == 511 and left_out == {"hello": "there is another of this name"}
    assert any("only the first 512 of its 3002 tools" in note for note in notes)


def test_a_greeting_with_odd_fields(tmp_path: Path) -> None:
    greeting = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {"listChanged": "no"}, "logging": 5}, "serverInfo": "odd"}
    for initialize in (greeting, {"protocolVersion": "2025-06-18"}, {**greeting, "capabilities": None, "instructions": 5}):
        assert asyncio.run(listed(tmp_path, [HELLO], initialize=initialize))[0] == ["hello"]


STRUCTURED = {"answer": "blue-42", "n": 3}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (
            {"content": [{"type": "text", "text": "see structured"}], "structuredContent": STRUCTURED},
            f"see structured\n{json.dumps(STRUCTURED)}",
        ),
        (
            {"content": [{"type": "text", "text": json.dumps(STRUCTURED, indent=2)}], "structuredContent": STRUCTURED},
            json.dumps(STRUCTURED, indent=2),
        ),
        ({"content": [{"type": "text", "text": "It is blue-42 (3 times)."}], "structuredContent": STRUCTURED}, "It is blue-42 (3 times)."),
        ({"content": [{"type": "text", "text": "It is blue-42 (13 times)."}], "structuredContent": STRUCTURED}, None),
        ({"content": [], "structuredContent": [1, 2]}, "[1, 2]"),
        ({"structuredContent": {"a": "é"}}, '{"a": "é"}'),
        (
            {
                "content": [
                    {
                        "type": "resource_link",
                        "uri": "file:///a/b.txt",
                        "name": "b.txt",
                        "description": "The manual of pump 9",
                        "mimeType": "text/plain",
                        "size": 120,
                    }
                ]
            },
            "[b.txt: file:///a/b.txt, The manual of pump 9, text/plain, 120 bytes]",
        ),
        (
            {"content": [{"type": "widget", "x": 1}, {"type": "text", "text": "beside the widget"}]},
            "[a block of the type 'widget': cannot be shown]\nbeside the widget",
        ),
        ({"content": [{"type": "text", "text": {"a": 1}}, "bare", None, 5, {"x": 1}]}, '{"a": 1}\nbare\n5\n{"x": 1}'),
        ({"content": "bare"}, "bare"),
        ({"content": [{"type": "image", "mimeType": 5}]}, "[a block of the type 'image': cannot be shown]"),
        ({"content": [{"type": "resource", "resource": {"uri": "x:y", "blob": "AA=="}}]}, "[x:y, binary: cannot be shown]"),
        ({}, ""),
    ],
)
def test_results_are_read_block_by_block(tmp_path: Path, result: dict[str, Any], text: str | None) -> None:
    outcome = asyncio.run(called(tmp_path, result))
    assert outcome.fault is None
    assert outcome.text == text if text is not None else outcome.text.endswith(json.dumps(STRUCTURED))


DEEP = 50_000
LINE = '{"jsonrpc":"2.0","id":{id},'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (LINE + '"result":"hello"}', "its result is no object"),
        (LINE + '"result":[]}', "its result is no object"),
        (LINE + '"result":{"content":[],"structuredContent":' + "[" * DEEP + "]" * DEEP + "}}", "no JSON that can be read"),
        (
            '{"result":{"structuredContent":' + '{"a":' * DEEP + "1" + "}" * DEEP + '},"id":{id},"jsonrpc":"2.0"}',
            "no JSON that can be read",
        ),
        (LINE + '"result":{"content":[{"type":"text","text":"half', "no JSON that can be read"),
        (LINE + '"error":"boom"}', "boom"),
        (LINE + '"error":{"code":"E1","message":"boom"}}', "boom"),
        (LINE + '"error":{}}', "it reports an error"),
        ('{"jsonrpc":"2.0","result":7}', "its result is no object"),
    ],
)
def test_an_answer_that_cannot_be_read_ends_its_call_at_once(tmp_path: Path, line: str, says: str) -> None:
    async def work() -> None:
        async with odd(tmp_path, calls={"bad": line}, tools=[HELLO, {"name": "bad", "inputSchema": ANY}]) as host:
            await host.tools("odd")
            outcome = await host.call("odd", "bad", {}, owner="")
            assert outcome.fault is not None and outcome.fault.kind == "protocol" and says in outcome.text
            assert outcome.seconds < 30  # the timeout is 60
            assert (await host.call("odd", "hello", {}, owner="")).text == "hi"
            assert host.status()[0].restarts == 0

    asyncio.run(work())


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (LINE + '"result":{"content":[{"type":"text","text":"half \\ud800 a pair"}]}}', "half ? a pair"),
        (LINE + '"result":{"content":[{"type":"text","text":"caf\udce9"}]}}', "caf\ufffd"),
        ("\ufeff" + LINE + '"result":{"content":[{"type":"text","text":"marked"}]}}\r', "marked"),
        ('{"id":{id}.0,"result":{"content":[{"type":"text","text":"no version"}]}}', "no version"),
        ('{"jsonrpc":"2.0","id":"{id}","result":{"content":[{"type":"text","text":"a text as id"}]}}', "a text as id"),
    ],
)
def test_an_answer_with_a_small_fault_is_read(tmp_path: Path, line: str, text: str) -> None:
    assert asyncio.run(called(tmp_path, line)).text == text


def test_a_wide_result_is_read_in_part(tmp_path: Path) -> None:
    line = LINE + '"result":{"content":[' + ",".join(['{"type":"text","text":"x"}'] * 400_000) + "]}}"
    outcome = asyncio.run(called(tmp_path, line))
    assert outcome.fault is None and outcome.text.endswith("[390000 more blocks of content: left out]")


def test_a_banner_is_one_line_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        async with odd(tmp_path, before=["Listening on stdio...", "", "[INFO] ready", "null"]) as host:
            assert [tool.name for tool in await host.tools("odd")] == ["hello"]

    with caplog.at_level(logging.INFO):
        asyncio.run(work())
    assert [record.getMessage() for record in caplog.records if "standard output" in record.getMessage()] == [
        "MCP server odd: it writes what is no message of MCP to standard output: 'Listening on stdio...'"
    ]


@pytest.mark.parametrize("kind", ["garbage", "half", "stderr"])
def test_a_flood_is_a_few_lines_in_the_log_and_the_server_is_paused(tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    async def work() -> None:
        async with odd(tmp_path, flood=[kind, 0]) as host:
            await until(lambda: host.status()[0].state == "failed")
            error = host.status()[0].last_error or ""
            assert f"more than {MAX_UNREADABLE} lines" in error or "bytes to standard error" in error
            assert "hunter2" not in error
            outcome = await host.call("odd", "hello", {}, owner="")
            assert outcome.fault is not None and "paused" in outcome.text and "hunter2" not in outcome.text
            await asyncio.sleep(0.3)
            assert host.status()[0].restarts == 0  # not connected anew before the pause is over

    with caplog.at_level(logging.INFO, "stoa"):
        asyncio.run(work())
    ours = [record for record in caplog.records if record.name.startswith("stoa") and "MCP server" in record.getMessage()]
    assert len(ours) <= 4 and all(record.exc_info is None and len(record.getMessage()) < 800 for record in ours)


def test_announcements_without_end_keep_nobody_waiting(tmp_path: Path) -> None:
    async def work() -> None:
        async with odd(tmp_path, flood=["changes", 0.0005]) as host:
            for _ in range(5):
                assert [tool.name for tool in await host.tools("odd")] == ["hello"]
                assert (await host.call("odd", "hello", {}, owner="")).text == "hi"

    asyncio.run(work())


def test_standard_error_is_for_the_operator_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        spec = ServerSpec(
            label="odd",
            target=Stdio(command=sys.executable, args=("-S", "-E", "-c", "import sys; sys.exit('boom secret=hunter2 pin-4711')")),
            secrets=("pin-4711",),
        )
        async with hosting(tmp_path, spec, RetryPolicy(failure_threshold=1)) as host:
            outcome = await host.call("odd", "hello", {}, owner="")
            status = host.status()[0]
            assert outcome.fault is not None and "it went away" in outcome.text
            assert "hunter2" not in outcome.text and "hunter2" not in (status.last_error or "") and "hunter2" not in str(status.notes)

    with caplog.at_level(logging.INFO):
        asyncio.run(work())
    assert "before it went away it wrote to standard error: boom secret=hunter2 ***" in caplog.text
