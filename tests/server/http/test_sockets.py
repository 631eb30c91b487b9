"""WebSockets among the open connections."""

import asyncio
import logging

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.http.connection.open_connections import OpenConnections
from server.http.connection.protocol import limited_protocol
from server.http.connection.websocket import counted_websocket
from server.runtime.throttle import Throttle
from tests.server.api.responses.responses_client import HELLO, TOKENIZER, api_client
from tests.server.api.responses.websocket.socket_client import LAST, connected
from tests.server.fakes import FakeEngine, says
from tests.server.web import serving


def run_beside(engine: FakeEngine, most: int, *, busy: bool) -> None:
    """A second connection where there is room for `most`; the first one is busy, or must make room."""

    async def run(url: str) -> None:
        async with connected(url) as first:
            if busy:
                await first.create(input=HELLO)
                await first.receive()
            async with connected(url) as second:
                assert (await second.ask(input=HELLO, max_output_tokens=16))[-1]["type"] == "response.incomplete"
            if busy:
                while (await first.receive())["type"] not in LAST:
                    pass
            else:
                with pytest.raises(ConnectionClosed):
                    await first.receive()

    connections = OpenConnections(most)
    options = {"http": limited_protocol(connections, Throttle(lambda: False)), "ws": counted_websocket(connections)}
    with serving(api_client(engine=engine).app, **options) as url:
        asyncio.run(run(url))


def test_idle_ones_make_room() -> None:
    run_beside(FakeEngine(says("word " * 1000, TOKENIZER), context=2048), 1, busy=False)


def test_those_on_which_something_is_answered_do_not() -> None:
    run_beside(FakeEngine(says("word " * 200, TOKENIZER), context=512, pause=0.005), 2, busy=True)


def test_where_all_are_busy_no_other_is_taken() -> None:
    engine = FakeEngine(says("word " * 1000, TOKENIZER), context=4096, pause=0.01)
    with pytest.raises(InvalidStatus) as caught:
        run_beside(engine, 1, busy=True)
    assert caught.value.response.status_code == 503


def test_a_refusal_is_no_error_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def run(url: str) -> None:
        with pytest.raises(InvalidStatus):
            async with connected(url):
                pass

    connections = OpenConnections(8)
    with caplog.at_level(logging.INFO), serving(api_client(api_keys=("k",)).app, ws=counted_websocket(connections)) as url:
        asyncio.run(run(url))
    assert not [record for record in caplog.records if record.levelno > logging.INFO]
    assert "GET /v1/responses 401" in caplog.text
