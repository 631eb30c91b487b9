"""`stoa serve`: the application on a socket, and its end: SIGTERM stops accepting, waits for answers, then cuts them off."""

import signal
from types import FrameType

import uvicorn

from server.app import build
from server.core import logs
from server.runtime.settings import Settings
from server.runtime.state import ServerState

GRACE = 2  # seconds for cut-off answers to say so


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, state: ServerState) -> None:
        super().__init__(config)
        self.state = state

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one stops at once."""
        if self.state.deadline is None and sig in (signal.SIGTERM, signal.SIGINT):
            self.state.drain()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self.state.drained:
            await self.state.close()
            self.should_exit = True
        return await super().on_tick(counter) or self.state.load_error is not None


def serve(settings: Settings) -> int:
    """Returns the exit status."""
    logs.configure(as_json=settings.log_json, level=settings.log_level)
    app, state = build(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    Server(config, state).run()
    return 0 if state.load_error is None else 1
