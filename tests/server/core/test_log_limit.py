"""What libraries log about strangers stays small, whatever the strangers do; what we log ourselves is never dropped."""

import io
import logging

from server.core.log_limit import MAX_KINDS, PERIOD, RateLimit


class Log:
    """The root of a log of its own, at a time that the test sets."""

    def __init__(self, *, tracebacks: bool = False) -> None:
        self.now = 0.0
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
        self.handler.addFilter(RateLimit(tracebacks=tracebacks, clock=lambda: self.now))

    def write(self, name: str, message: str, *args: object, error: Exception | None = None) -> None:
        exc_info = (type(error), error, error.__traceback__) if error else None
        self.handler.handle(logging.LogRecord(name, logging.ERROR, __file__, 1, message, args, exc_info))

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_the_same_error_is_one_line_and_then_a_count_per_period() -> None:
    log = Log()
    for number in range(50_000):
        log.now = number * PERIOD / 20_000
        log.write("asyncio", f"socket.accept() out of system resource\nsocket: <socket fd={number}>")
    first = "asyncio socket.accept() out of system resource"
    assert [line for line in log.lines if line.startswith("asyncio")] == [first] * 3
    assert "(19999 more like it since" in log.text


def test_a_strangers_error_has_no_traceback_and_no_second_line() -> None:
    log = Log()
    log.write("mcp.client.stdio", "Failed to parse JSONRPC message from server", error=raised(ValueError("no JSON\nin line 1")))
    log.write("client", "Failed to validate notification: %s", "notifications/message", error=raised(KeyError("level")))
    assert log.lines == [
        "mcp.client.stdio Failed to parse JSONRPC message from server: ValueError: no JSON in line 1",
        "client Failed to validate notification: notifications/message: KeyError: 'level'",
    ]


def test_the_traceback_is_shown_where_it_is_wanted() -> None:
    log = Log(tracebacks=True)
    log.write("mcp.client.stdio", "Failed to parse", error=raised(ValueError("no JSON")))
    assert "Traceback" in log.text


def test_our_own_records_all_pass_with_their_tracebacks() -> None:
    log = Log()
    for _ in range(3):
        log.write("stoa", "the MCP server ended", error=raised(RuntimeError("a fault of ours")))
    assert log.text.count("Traceback") == log.text.count("stoa the MCP server ended") == 3


def test_a_programming_error_that_asyncio_reports_keeps_its_traceback() -> None:
    log = Log()
    log.write("asyncio", "Task exception was never retrieved\nfuture: <Task 1>", error=raised(RuntimeError("a fault of ours")))
    log.write("uvicorn.error", "Exception in ASGI application\n", error=raised(RuntimeError("a fault of ours")))
    assert log.text.count("Traceback") == 2


def test_messages_that_a_stranger_varies_are_limited_too() -> None:
    log = Log()
    for number in range(1000):
        log.write("mcp.server", f"dropping tool {chr(0x4E00 + number)}")
    assert len(log.lines) == MAX_KINDS + 1
    log.now = PERIOD
    log.write("mcp.server", "dropping tool z" * 1000)
    assert len(log.lines) == MAX_KINDS + 2 and len(log.lines[-1]) < 400
