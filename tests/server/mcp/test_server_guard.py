"""What a server writes besides messages is counted, and the log holds a line a minute of it."""

import logging

import pytest

from server.mcp.session import ServerMisbehaved
from server.mcp.transport.server_guard import MAX_NOTIFICATIONS, MAX_UNREADABLE, PERIOD, ServerGuard


def test_one_line_and_then_a_count_per_minute(caplog: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    guard = ServerGuard("odd", ("hunter2",), lambda: now[0])
    with caplog.at_level(logging.INFO):
        for number in range(3 * MAX_UNREADABLE):
            now[0] = number * PERIOD / (MAX_UNREADABLE - 100)
            guard.count_unreadable(f"line {number} hunter2\x1b[31m")
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "MCP server odd: it writes what is no message of MCP to standard output: 'line 0 ***[31m'"
    assert lines[1:] == ["MCP server odd: 900 lines on standard output were no messages of MCP"] * 3
    assert guard.loss is None


def test_too_many_within_a_minute_end_the_connection_once() -> None:
    stopped = list[str]()
    guard = ServerGuard("odd")
    guard.on_stop.append(lambda: stopped.append("stopped"))
    for _ in range(2 * MAX_UNREADABLE):
        guard.count_unreadable("x")
    assert isinstance(guard.loss, ServerMisbehaved) and stopped == ["stopped"]


def test_a_hundred_notifications_of_each_second_are_passed_on() -> None:
    now = [5.0]
    guard = ServerGuard("odd", clock=lambda: now[0])
    assert sum(guard.takes_notification() for _ in range(5000)) == MAX_NOTIFICATIONS
    now[0] = 6.0
    assert guard.takes_notification()
