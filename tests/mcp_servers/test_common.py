"""What the MCP servers share."""

import argparse
import threading
import time
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp.server.mcpserver.exceptions import ToolError

from mcp_servers.common import Address, BadCursor, Clock, Stopped, address, cursor_position, next_cursor, working


@settings(deadline=None)
@given(st.text(), st.text(), st.integers())
def test_cursors_come_back(question: str, name: str, number: int) -> None:
    cursor = next_cursor([question], [name, number])
    assert cursor_position([question], cursor, (str, int)) == [name, number]
    with pytest.raises(BadCursor):
        cursor_position([question, "more"], cursor, (str, int))
    with pytest.raises(BadCursor):
        cursor_position([question], cursor, (str, str))


@settings(deadline=None)
@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_what_is_no_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        cursor_position("question", text, (str,))


def test_a_clock_ends() -> None:
    Clock(100).check()
    clock = Clock(0.02)
    time.sleep(0.03)
    with pytest.raises(Stopped, match=r"after 0\.02 s"):
        clock.check()
    stopped = Clock(100)
    stopped.stop()
    assert stopped.over


@pytest.mark.anyio
async def test_work_gives_what_it_gives() -> None:
    assert await working(lambda _: 3, 5) == 3
    with pytest.raises(KeyError):
        await working(lambda _: {}["none"], 5)


@pytest.mark.anyio
async def test_work_ends_with_its_time() -> None:
    with pytest.raises(ToolError, match=r"stopped after 0\.05 s"):
        await working(_until_stopped, 0.05)


@pytest.mark.anyio
async def test_work_that_is_cancelled_stops() -> None:
    begun, ended = threading.Event(), threading.Event()

    def job(clock: Clock) -> None:
        begun.set()
        try:
            _until_stopped(clock)
        finally:
            ended.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(working, job, 300)
        assert await anyio.to_thread.run_sync(begun.wait, 60)
        tasks.cancel_scope.cancel()
    assert await anyio.to_thread.run_sync(ended.wait, 60)


def _until_stopped(clock: Clock) -> Any:
    while True:
        clock.check()
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:80", Address("127.0.0.1", 80)), (":8811", Address("127.0.0.1", 8811)), ("[::1]:1", Address("::1", 1))],
)
def test_addresses(text: str, expected: Address) -> None:
    assert address(text) == expected


@pytest.mark.parametrize("text", ["0.0.0.0:80", "example.org:80", "127.0.0.1", "localhost:-1", "localhost:70000", "localhost:x"])
def test_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        address(text)
