"""uvicorn's WebSocket protocol: such connections count as open ones, too, and make room while nothing is being answered on them."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import Receive, Scope, Send
from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from server.core.errors import ApiError
from server.http.connection.open_connections import OpenConnections

ACTIVITY = "stoa.activity"  # key of the connection's scope
QUIET = "stoa.websocket"  # uvicorn tells each connection with its query string; our access log tells of it without


@dataclass(slots=True)
class Activity:
    """Whether something is being answered on the connection. The application says so."""

    busy: bool = False


class CountedWebSocket(WebSocketsSansIOProtocol):
    def __init__(self, *args: Any, connections: OpenConnections, **options: Any) -> None:
        super().__init__(*args, **options)
        self.logger = logging.getLogger(QUIET)
        self.logger.setLevel(logging.WARNING)
        self._open, self._activity = connections, Activity()

    # OpenConnection

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def idle(self) -> bool:
        return not self._activity.busy

    def abort(self) -> None:
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._open.add(self):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.remove(self)
        super().connection_lost(exc)

    # WebSocketsSansIOProtocol

    async def run_asgi(self) -> None:
        self.scope[ACTIVITY] = self._activity  # type: ignore[typeddict-unknown-key]
        await super().run_asgi()

    async def send(self, message: ASGISendEvent) -> None:
        """A refusal ends the handshake, too; uvicorn logs it as an error that it was never ended."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True


class NoWebSocket:
    """The ASGI application of paths where there is none. Raises ApiError."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise ApiError(404, f"there is no WebSocket at {scope['path']}", code="not_found")


def counted_websocket(connections: OpenConnections) -> Callable[..., CountedWebSocket]:
    """As uvicorn's option `ws` takes it."""
    return partial(CountedWebSocket, connections=connections)


def activity_of(scope: Any) -> Activity:
    """Also where another protocol has made the scope."""
    return scope.get(ACTIVITY) or Activity()
