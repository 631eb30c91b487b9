"""Connections of clients that are slow, many, or do not speak HTTP."""

import asyncio
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from server.core.cost import RequestCost
from server.http import body
from server.http.connection import framing, open_connections, protocol
from server.http.connection.open_connections import OpenConnections
from server.http.connection.protocol import limited_protocol
from server.http.connection.unread import has_hung_up, waiting_bytes
from server.runtime.throttle import Throttle
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ready, says, text
from tests.server.web import serving

TEXT = text()
CALM = Throttle(lambda: False)
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"


def app() -> Any:
    return ready(FakeEngine(says("Hi.", TEXT)), TEXT)[0]


@contextmanager
def served(most: int = 100) -> Iterator[str]:
    with serving(app(), http=limited_protocol(OpenConnections(most), CALM)) as url:
        yield url


def connect(url: str, data: bytes = b"") -> socket.socket:
    made = socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=10)
    made.sendall(data)
    return made


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes it."""
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except ConnectionResetError:
        pass
    return data


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\nHost: l"])
def test_a_header_that_does_not_come(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.2)
    with served() as url, connect(url, sent) as slow:
        answer = read_all(slow)
        assert answer.startswith(b"HTTP/1.1 408") if sent else answer == b""


def test_a_second_header_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each further byte stops uvicorn's own timer."""
    monkeypatch.setattr(protocol, "HEADER_SECONDS", 0.3)
    with served() as url, connect(url, HEALTH) as slow:
        assert slow.recv(65536).startswith(b"HTTP/1.1 200")
        started = time.monotonic()
        try:
            for byte in (bytes([b]) for b in HEALTH[:-4]):
                slow.sendall(byte)
                time.sleep(0.05)
        except OSError:
            pass
        assert time.monotonic() - started < 3


def test_silent_connections_make_room_for_new_ones() -> None:
    with served(most=20) as url, ExitStack() as many:
        silent = [many.enter_context(connect(url, b"GET /v1/models HTTP/1.1\r\nHost: 1")) for _ in range(60)]
        for _ in range(5):
            assert httpx.get(f"{url}/health").status_code == 200
        assert read_all(silent[0]) == b""


def test_where_all_are_being_answered_a_new_one_gets_a_503() -> None:
    opened = OpenConnections(4)
    busy = [Fake("10.0.0.1", idle=False)]
    assert all(map(opened.add, busy))
    assert not opened.add(Fake("10.0.0.1", idle=False)), "a quarter of them for each address"
    assert all(opened.add(Fake("127.0.0.1", idle=False)) for _ in range(3)), "but a proxy on this machine speaks for many"
    assert not opened.add(Fake("10.0.0.2", idle=False))
    opened.remove(busy[0])
    assert opened.add(Fake("10.0.0.2", idle=True))
    assert opened.add(Fake("10.0.0.3", idle=True)), "the idle one is closed for it"


class Fake:
    aborted = False

    def __init__(self, address: str, *, idle: bool) -> None:
        self.address, self.idle = address, idle

    def abort(self) -> None:
        self.aborted = True


def test_few_are_deferred_and_the_oldest_is_closed_for_a_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "MOST_DEFERRED", 2)
    opened, many = OpenConnections(9), [Fake("10.0.0.1", idle=True) for _ in range(4)]
    opened.defer(many[0])
    opened.defer(many[1])
    opened.resume(many[0])
    opened.defer(many[2])
    assert not any(one.aborted for one in many)
    opened.defer(many[3])
    assert [one.aborted for one in many] == [False, True, False, False]


class Debtor(Throttle):
    """Everybody owes something."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda: True)
        self.seconds, self.gone = seconds, list[str]()

    def deferral(self, address: str) -> float:
        return self.seconds

    def abandoned(self, cost: RequestCost) -> None:
        self.gone.append(cost.account)


def test_who_owes_something_and_sends_much_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "waiting_bytes", lambda _: protocol.LARGE_REQUEST)
    throttle = Debtor(0.01)
    with serving(app(), http=limited_protocol(OpenConnections(9), throttle)) as url:
        assert httpx.get(f"{url}/health").status_code == 200
    assert not throttle.gone


def test_who_owes_something_and_sends_too_much_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "MOST_DEFERRED", 0)
    monkeypatch.setattr(protocol, "waiting_bytes", lambda _: protocol.LARGE_REQUEST)
    throttle = Debtor(60)
    with serving(app(), http=limited_protocol(OpenConnections(9), throttle)) as url, connect(url, HEALTH) as odd:
        assert read_all(odd) == b""
        monkeypatch.setattr(protocol, "waiting_bytes", lambda _: protocol.LARGE_REQUEST - 1)
        assert httpx.get(f"{url}/health").status_code == 200
    assert throttle.gone == ["127.0.0.1"]


def test_who_owes_something_and_has_gone_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "has_hung_up", lambda _: True)
    throttle = Debtor(60)
    with serving(app(), http=limited_protocol(OpenConnections(9), throttle)) as url, connect(url, HEALTH) as odd:
        assert read_all(odd) == b""
        throttle.seconds = 0
        assert httpx.get(f"{url}/health").status_code == 200
    assert throttle.gone == ["127.0.0.1"]


def test_what_waits_in_a_socket() -> None:
    class Transport(asyncio.BaseTransport):
        def get_extra_info(self, name: str, default: Any = None) -> Any:
            return here

    here, there = socket.socketpair()
    with here, there:
        there.sendall(b"x" * 1000)
        assert waiting_bytes(Transport()) == (0 if sys.platform == "win32" else 1000)
        assert not has_hung_up(Transport())
        there.close()
        assert has_hung_up(Transport()) == (sys.platform == "linux")


POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (POST.replace(b"/1.1", b"/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (HEALTH[:-2] + b"".join(b"X-%d: 1\r\n" % n for n in range(500)) + b"\r\n", 431),
        (HEALTH[:-2] + b"X: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"NONSENSE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS to a plain port\r\n\r\n", 400),
    ],
)
def test_one_answer_and_the_connection_is_closed(request_bytes: bytes, status: int) -> None:
    with served() as url, connect(url, request_bytes) as connection:
        answer = read_all(connection)
        assert answer.startswith(b"HTTP/1.1 %d" % status) and answer.count(b"HTTP/1.1 ") == 1 and b'"error"' in answer


def test_pipelined_requests_are_answered_in_order() -> None:
    with served() as url, connect(url, HEALTH * 20 + HEALTH.replace(b"Host", b"Connection: close\r\nHost")) as connection:
        assert read_all(connection).count(b"HTTP/1.1 200") == 21


def test_a_body_that_nobody_waits_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer has been sent before the body: the rest of it may not take for ever."""
    monkeypatch.setattr(protocol, "UNREAD_BODY_SECONDS", 0.3)
    head = POST.replace(b"localhost", b"evil.example") + b"Content-Length: 1000000\r\n\r\n"
    with served() as url, connect(url, head) as slow:
        assert slow.recv(65536).startswith(b"HTTP/1.1 403")
        started = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - started < 5:
                slow.sendall(b" ")
                time.sleep(0.05)


@pytest.mark.parametrize(
    "head",
    [
        POST + b"Content-Length: 1000\r\n\r\n{",
        POST.replace(b"chat/completions", b"files").replace(b"application/json", b"multipart/form-data; boundary=x")
        + b"Content-Length: 1000\r\n\r\n--x\r\n",
    ],
)
def test_bodies_that_come_byte_by_byte(head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "BODY_TIMEOUT", 0.3)
    served_app, _ = ready(FakeEngine(says("Hi.", TEXT)), TEXT, knowledge())
    with serving(served_app, http=limited_protocol(OpenConnections(9), CALM)) as url, connect(url, head) as slow:
        stop = threading.Event()
        dripping = threading.Thread(target=drip, args=(slow, stop))
        dripping.start()
        answer = read_all(slow)
        stop.set()
        dripping.join()
        assert answer.startswith(b"HTTP/1.1 408") and b"timeout" in answer


def drip(connection: socket.socket, stop: threading.Event) -> None:
    try:
        while not stop.wait(0.05):
            connection.sendall(b" ")
    except OSError:
        return


def test_a_client_that_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "STALLED_SECONDS", 0.3)
    ended = threading.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                if (await receive_now(receive)) == "http.disconnect":
                    return
        finally:
            ended.set()

    with serving(endless, http=limited_protocol(OpenConnections(9), CALM), lifespan="off") as url, connect(url, HEALTH):
        assert ended.wait(10)


async def receive_now(receive: Any) -> str | None:
    try:
        async with asyncio.timeout(0.001):
            return (await receive())["type"]
    except TimeoutError:
        return None


def test_a_body_in_chunks_of_a_byte_is_read_in_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turn between them, and the client pays for each; nothing of it is lost."""
    monkeypatch.setattr(framing, "EVENTS_AT_ONCE", 50)
    charged = list[float]()
    throttle = Throttle(lambda: True)
    monkeypatch.setattr(throttle, "framing_delay", lambda account, seconds: charged.append(seconds) or 0.0)
    told = b'{"model": "tiny", "messages": [{"role": "user", "content": "' + b"x" * 200 + b'"}], "max_tokens": 2}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in told) + b"0\r\n\r\n"
    with serving(app(), http=limited_protocol(OpenConnections(9), throttle)) as url:
        for _ in range(2):  # the second on a new connection
            with connect(url, POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + chunks) as odd:
                assert read_all(odd).startswith(b"HTTP/1.1 200")
    assert len(charged) >= 2 * (len(told) // 50)


def test_what_is_no_http_is_paid_for() -> None:
    charged, throttle = list[str](), Throttle(lambda: True)
    throttle.refusal_delay = lambda cost: charged.append(cost.account) or 0.0
    with serving(app(), http=limited_protocol(OpenConnections(9), throttle)) as url, connect(url, b"nonsense\r\n\r\n" * 3) as odd:
        assert read_all(odd).startswith(b"HTTP/1.1 400")
    assert charged == ["127.0.0.1"]
