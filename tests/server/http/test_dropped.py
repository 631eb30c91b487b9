"""A client that goes away takes its work along, at once, whatever it was waiting for."""

import asyncio
import json
from typing import Any

import pytest

from tests.server.fakes import FakeEngine, ready, text

TEXT = text()
FOREVER = [*TEXT.encode("x") * 10_000]


async def drop(app: Any, body: dict[str, Any], after: int, *, sent: bool = True) -> list[Any]:
    """Sends a request and hangs up after `after` messages of the answer (0: as soon as the engine is at work). Returns the
    messages. Not sent: hangs up half way through the request."""
    messages: list[Any] = []
    seen, begun = asyncio.Event(), False
    scope = {
        "type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"", "http_version": "1.1",
        "headers": [(b"content-type", b"application/json"), (b"host", b"localhost")],
    }  # fmt: skip

    async def receive() -> Any:
        nonlocal begun
        if not begun:
            begun = True
            return {"type": "http.request", "body": json.dumps(body).encode(), "more_body": not sent}
        if sent:
            await (seen.wait() if after else asyncio.sleep(0.02))
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        messages.append(message)
        if len(messages) >= after:
            seen.set()

    await asyncio.wait_for(app(scope, receive, send), 5)
    return messages


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("after", [0, 4])
def test_hanging_up_ends_the_work(stream: bool, n: int, after: int) -> None:
    async def scenario() -> None:
        fake = FakeEngine(lambda request: FOREVER, context=20_000, pause=0.001)
        app, state = ready(fake, TEXT)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": stream, "n": n}
        messages = await drop(app, body, after if stream else 0)
        assert (fake.running, fake.aborts, len(fake.requests), state.active_requests) == (0, n, n, 0)
        assert len(messages) < 400
        assert "stoa_aborts_total 1.0" in state.metrics.exposition().decode()

    asyncio.run(scenario())


def test_hanging_up_while_waiting_for_the_first_token() -> None:
    async def scenario() -> None:
        fake = FakeEngine(lambda request: FOREVER, pause=1000)
        app, _ = ready(fake, TEXT)
        messages = await drop(app, {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stream": True}, 0)
        assert messages == [] and fake.running == 0

    asyncio.run(scenario())


def test_hanging_up_half_way_through_the_request() -> None:
    async def scenario() -> None:
        fake = FakeEngine(lambda request: FOREVER)
        app, state = ready(fake, TEXT)
        assert await drop(app, {"model": "tiny"}, 0, sent=False) == []
        assert not fake.requests and state.active_requests == 0

    asyncio.run(scenario())


def test_a_stop_string_ends_the_work() -> None:
    async def scenario() -> None:
        fake = FakeEngine(lambda request: FOREVER, context=20_000)
        app, _ = ready(fake, TEXT)
        body = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}], "stop": "xxxx"}
        messages = await drop(app, body, 100)
        assert json.loads(messages[-1]["body"])["choices"][0]["finish_reason"] == "stop" and fake.running == 0

    asyncio.run(scenario())
