"""`stoa serve`: the application on a socket, and its end: SIGTERM stops accepting, waits for answers, then cuts them off."""

import signal
from types import FrameType

import uvicorn

from server.app import build
from server.core import logs
from server.runtime.settings import Settings
from server.runtime.state import House

GRACE = 2  # seconds for cut-off answers to say so


class Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self.house = house

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal drains, a second one stops at once."""
        if self.house.deadline is None and sig in (signal.SIGTERM, signal.SIGINT):
            self.house.drain()
        else:
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        if self.house.drained:
            await self.house.close()
            self.should_exit = True
        return await super().on_tick(counter) or self.house.failure is not None


def serve(settings: Settings) -> int:
    """Returns the exit status."""
    logs.configure(as_json=settings.log_json, level=settings.log_level)
    app, house = build(settings)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    Server(config, house).run()
    return 0 if house.failure is None else 1
