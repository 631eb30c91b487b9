"""`stoa serve`: runs the HTTP server. SIGTERM and SIGINT stop it gracefully: it accepts no more requests, and waits for the answers in
progress until the deadline."""

import os
import signal
import socket
from types import FrameType

import uvicorn

from server.app import create_app
from server.cli.errors import print_error
from server.core import logs
from server.http.connection.open_connections import OpenConnections, connection_limits
from server.http.connection.protocol import limited_protocol
from server.http.connection.websocket import counted_websocket
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from server.weights.cache import PullError
from server.weights.pull import expect_known

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
    """Returns the exit status: 2 for what another option would mend."""
    logs.configure(as_json=settings.log_json, level=settings.log_level)
    try:
        _check(settings)
    except (PullError, OSError) as error:
        print_error(error)
        return 2
    app, state = create_app(settings)
    limits = connection_limits()
    connections = OpenConnections(limits.most)
    config = uvicorn.Config(
        app,
        http=limited_protocol(connections, state.throttle),  # pyright: ignore[reportArgumentType] (a class, or what makes one)
        ws=counted_websocket(connections),  # pyright: ignore[reportArgumentType]
        ws_max_size=settings.max_body_bytes,
        ws_per_message_deflate=False,  # it would cost memory for each connection
        backlog=limits.accepted_at_once,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE,
    )
    Server(config, state).run()
    return 0 if state.load_error is None else 2 if state.misconfigured else 1


def _check(settings: Settings) -> None:
    """What can be known before anything starts. Raises PullError and OSError."""
    chat = [("model", source) for source in settings.models.values()] if settings.tokenizer is None else [("tokenizer", settings.tokenizer)]
    beside = (("embedding-model", settings.embedding_model), ("rerank-model", settings.rerank_model), ("image-model", settings.image_model))
    for option, source in (*chat, *beside):
        if source is not None and (option, source) != ("embedding-model", "none"):
            try:
                expect_known(source)
            except PullError as error:
                raise PullError(f"--{option}: {error}") from None
    _expect_free(settings.host, settings.port)


def _expect_free(host: str, port: int) -> None:
    """Raises OSError."""
    try:
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in addresses:
            with socket.socket(family, kind, protocol) as probe:
                if os.name == "posix":
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
    except OSError as error:
        raise OSError(f"--host {host} --port {port}: cannot listen there: {error.strerror}") from None
