"""Servers that write in odd ways, promise other things than results, never come to an end, or do not let go."""

import asyncio
import gzip
import json
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from server.mcp.config.server_spec import Http, ServerSpec
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.connection.time_limit import TimeLimit
from server.mcp.session import ServerMisbehaved
from server.mcp.transport import sdk_session
from server.mcp.transport.server_guard import MAX_MESSAGES, PERIOD, ServerGuard
from server.mcp.transport.tool_result import to_tool_outcome
from tests.server.mcp.mcp_host import fixture, hosting, until
from tests.server.mcp.test_odd_servers import ANY, HELLO, LINE, called, listed
from tests.server.web import serving

RESULT = '"result":{"content":[{"type":"text","text":"%s"}]}}'
NOTIFICATION = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("debug: " + LINE + RESULT % "glued", "glued"),
        ("\x1b[2J> " + LINE + RESULT % "a terminal", "a terminal"),
        ("\0\0" + LINE + RESULT % "zeros", "zeros"),
        ("[" + LINE + RESULT % "a list" + "]", "a list"),
        (NOTIFICATION + LINE + RESULT % "two in a line", "two in a line"),
        ('{\n  "jsonrpc": "2.0",\n  "id": {id},\n  "result": {\n    "content": "indented"\n  }\n}', "indented"),
        ("{\n" + LINE + RESULT % "no part of that", "no part of that"),
        ("{ \x00\x81 noise\n" + LINE + RESULT % "after noise", "after noise"),
        (LINE + RESULT % 'quoted }{\\"jsonrpc\\": 1', 'quoted }{"jsonrpc": 1'),
    ],
)
def test_a_message_is_found_where_it_stands(tmp_path: Path, line: str, text: str) -> None:
    outcome = asyncio.run(called(tmp_path, line))
    assert outcome.fault is None and outcome.text == text


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"jsonrpc":"2.0","id":12345,' + RESULT % "another", "an id that no request has"),
        (LINE + '"result":{"task":{"taskId":"1","status":"working"}}}', "began a task"),
        (LINE + '"result":{"resultType":"input_required","inputRequests":{}}}', "no result of a tool"),
    ],
)
def test_what_is_no_result_ends_the_call_at_once(tmp_path: Path, line: str, says: str) -> None:
    outcome = asyncio.run(called(tmp_path, line))
    assert outcome.fault is not None and outcome.fault.kind == "protocol" and says in outcome.text
    assert outcome.seconds < 30  # the timeout is 60


def test_numbers_that_json_has_not_are_texts(tmp_path: Path) -> None:
    content = '{"content":[],"structuredContent":{"a":NaN,"b":Infinity,"c":' + "9" * 5000 + "}}"
    outcome = asyncio.run(called(tmp_path, LINE + f'"result":{content}}}'))
    assert outcome.structured == {"a": "NaN", "b": "Infinity", "c": "9" * 5000}


def test_a_schema_that_is_too_deep_costs_its_tool_alone(tmp_path: Path) -> None:
    deep: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        deep = {"type": "object", "properties": {"a": deep}}
    names, left_out, _ = asyncio.run(listed(tmp_path, [HELLO, {"name": "deep", "inputSchema": deep}]))
    assert names == ["hello"] and "nested deeper" in left_out["deep"]


def test_an_empty_cursor_is_the_end(tmp_path: Path) -> None:
    assert asyncio.run(listed(tmp_path, {"": {"tools": [HELLO], "nextCursor": ""}})) == (["hello"], {}, ())


def test_pages_that_take_too_long_give_what_has_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk_session, "LISTING_SHARE", 0.0)
    names, _, notes = asyncio.run(listed(tmp_path, {"": {"tools": [HELLO], "nextCursor": "more"}}))
    assert names == ["hello"] and "it takes too long" in notes[0]


def test_a_cursor_without_end_is_not_sent_back(tmp_path: Path) -> None:
    names, _, notes = asyncio.run(listed(tmp_path, {"": {"tools": [HELLO], "nextCursor": "m" * 100_000}}))
    assert names == ["hello"] and "a cursor is too long" in notes[0]


def test_a_server_without_tools_is_ready(tmp_path: Path) -> None:
    error = {"code": -32601, "message": "Method not found"}
    assert asyncio.run(listed(tmp_path, [], list_error=error)) == ([], {}, ())


def test_a_server_that_sends_without_end_is_given_up() -> None:
    now = [0.0]
    guard = ServerGuard("odd", clock=lambda: now[0])
    assert all(guard.takes_message() for _ in range(MAX_MESSAGES))
    now[0] = PERIOD
    assert all(guard.takes_message() for _ in range(MAX_MESSAGES)) and not guard.takes_message()
    assert isinstance(guard.loss, ServerMisbehaved)


def test_large_structured_content_is_cut_without_looking_at_all_of_it() -> None:
    outcome = to_tool_outcome({"content": [], "structuredContent": {f"k{number}": number for number in range(100_000)}}, 1000)
    assert outcome.structured is None and outcome.truncated and outcome.text.startswith('{"k0": 0')


def test_a_limit_does_not_wait_for_what_it_stops() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            await asyncio.sleep(600)

    async def work() -> None:
        with pytest.raises(TimeoutError):
            await TimeLimit().within(0.05, stubborn())

    asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_process_that_is_stopped_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pipe is full, so that nothing that is written to it ever arrives."""
    monkeypatch.setattr("server.mcp.transport.kill.GRACE", 1.0)
    quick = RetryPolicy(connect_wait=60.0, ping_timeout=1.0)

    async def work() -> int:
        async with hosting(tmp_path, replace(fixture(tmp_path), timeout=60.0), quick) as host:
            await host.tools("fixture")
            number = int((tmp_path / "pid").read_text())
            os.kill(number, signal.SIGSTOP)
            stuck = asyncio.create_task(host.call("fixture", "echo", {"text": "x" * 1_000_000}, owner=""))
            await asyncio.sleep(0.5)  # until the pipe is full, as it should be; the test cannot fail by being early
            stuck.cancel()
        return number

    number = asyncio.run(asyncio.wait_for(work(), 120))
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the process lives on")


def test_what_is_unreadable_and_meant_for_nobody_ends_no_call(tmp_path: Path) -> None:
    tools = [HELLO, {"name": "bad", "inputSchema": ANY}]
    line = json.dumps({"garbage": 1})[:-1] + "\n" + LINE + RESULT % "the answer"
    outcome = asyncio.run(called(tmp_path, line, tools=tools))
    assert outcome.text == "the answer"


def test_an_answer_that_unpacks_to_a_thousand_times_its_size_is_not_unpacked(tmp_path: Path) -> None:
    bomb, asked = gzip.compress(b"{" + b" " * (64 << 20)), list[str]()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(dict(scope["headers"]).get(b"accept-encoding", b"").decode())
        headers = [(b"content-type", b"application/json"), (b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": bomb})

    async def work(url: str) -> None:
        spec = ServerSpec(label="web", target=Http(url=f"{url}/mcp"), timeout=60.0)
        async with hosting(tmp_path, spec, RetryPolicy(failure_threshold=1)) as host:
            await until(lambda: host.status()[0].state == "failed", 60)

    with serving(app) as url:
        asyncio.run(asyncio.wait_for(work(url), 120))
    assert set(asked) == {"identity"}
