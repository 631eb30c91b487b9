"""`stoa serve`: runs the HTTP server. SIGTERM and SIGINT stop it gracefully: it accepts no more requests, and waits for the answers in
progress until the deadline."""

import os
import signal
import socket
from types import FrameType

import uvicorn

from server.app import create_app
from server.core import logs
from server.http.connection.open_connections import OpenConnections, connection_limits
from server.http.connection.protocol import limited_protocol
from server.runtime.settings import Settings
from server.runtime.state import ServerState

WAITING_CONNECTIONS = 2048  # that the system keeps until they are accepted
SHUTDOWN_GRACE = 2  # seconds for aborted answers to send their last event


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self.state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, the second one stops immediately."""
        if self.state.deadline is None and sig in (signal.SIGTERM, signal.SIGINT):
            self.state.drain()
        else:
            super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """asyncio accepts as many connections at a time as it lets wait; here more may wait than are accepted at a time."""
        await super().startup(sockets=sockets)
        for listener in (listener for server in getattr(self, "servers", ()) for listener in server.sockets):
            with socket.socket(fileno=os.dup(listener.fileno())) as same:
                same.listen(WAITING_CONNECTIONS)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self.state.drained:
            await self.state.close()
            self.should_exit = True
        return await super().on_tick(counter) or self.state.load_error is not None


def serve(settings: Settings) -> int:
    """Returns the exit status."""
    logs.configure(as_json=settings.log_json, level=settings.log_level)
    app, state = create_app(settings)
    limits = connection_limits()
    config = uvicorn.Config(
        app,
        http=limited_protocol(OpenConnections(limits.most)),  # pyright: ignore[reportArgumentType] (a class, or what makes one)
        backlog=limits.accepted_at_once,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    Server(config, state).run()
    return 0 if state.load_error is None else 1
