"""A client of the WebSocket at /v1/responses, against the application on a free port of loopback."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from tests.server.api.responses.responses_client import ApiClient
from tests.server.api.schema.strict import expect
from tests.server.web import serving

DEADLINE = 60.0  # seconds, for anything
LAST = ("response.completed", "response.incomplete", "response.failed", "error")


class Socket:
    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def create(self, **body: Any) -> None:
        await self.connection.send(json.dumps({"type": "response.create", "model": "tiny", **body}))

    async def receive(self) -> Any:
        """The next event, which must be as the specification says."""
        event = json.loads(await asyncio.wait_for(self.connection.recv(), DEADLINE))
        if event["type"] == "error":
            expect_error(event)
        else:
            expect("ResponsesWebSocketStreamEvent", event)
        return event

    async def ask(self, **body: Any) -> list[Any]:
        """All events of one response, or one error."""
        await self.create(**body)
        return await self.answer()

    async def answer(self) -> list[Any]:
        events = [await self.receive()]
        while events[-1]["type"] not in LAST:
            events.append(await self.receive())
        if events[-1]["type"] != "error":
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
        return events


def expect_error(event: Any) -> None:
    """OpenAI's specification has no type for it; this is that of Open Responses."""
    assert set(event) - {"stream_id"} == {"type", "status", "error"} and isinstance(event["status"], int)
    assert set(event["error"]) == {"type", "code", "message", "param"} and isinstance(event["error"]["code"], str)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncGenerator[Socket]:
    async with connect(url.replace("http", "ws", 1) + "/v1/responses", **options) as connection:
        yield Socket(connection)


def using(api: ApiClient, work: Callable[[Socket], Awaitable[None]], **options: Any) -> None:
    """On one connection."""

    async def run(url: str) -> None:
        async with connected(url, **options) as socket:
            await work(socket)

    with serving(api.app) as url:
        asyncio.run(run(url))
