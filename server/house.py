"""The state of a running server: what it serves, and whether it still takes requests."""

import logging
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Generator
from contextlib import contextmanager

from engine.api import Stats
from server.errors import unavailable
from server.metrics import Metrics
from server.served import Served
from server.settings import Settings

LOG = logging.getLogger("stoa")
Load = Callable[[Settings], Served]


class House:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(self._stats)
        self.served: Served | None = None
        self.failure: str | None = None  # why loading failed
        self.deadline: float | None = None  # while draining: when (time.monotonic) requests are cut off
        self.calls = 0  # requests being answered

    @property
    def state(self) -> str:
        if self.failure is not None:
            return "failed"
        if self.deadline is not None:
            return "draining"
        return "loading" if self.served is None else "ready" if self.served.engine.alive else "failed"

    def load(self, load: Load) -> None:
        """Starts to load in a thread that nobody waits for: a server that is stopped meanwhile just stops."""
        threading.Thread(target=self._load, args=(load, get_running_loop()), name="load", daemon=True).start()

    def open(self) -> Served:
        """Raises ApiError 503 unless requests are taken."""
        if self.served is None or self.deadline is not None or not self.served.engine.alive:
            raise unavailable(self.failure or f"the server is not ready: {self.state}", f"not_ready_{self.state}")
        return self.served

    def drain(self) -> None:
        self.deadline = time.monotonic() + self.settings.drain_seconds

    @property
    def drained(self) -> bool:
        return self.deadline is not None and (self.calls == 0 or time.monotonic() >= self.deadline)

    async def close(self) -> None:
        """Whoever still waits for an answer gets an error."""
        if self.served is not None:
            await self.served.engine.close()

    @contextmanager
    def call(self) -> Generator[None]:
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    def _load(self, load: Load, loop: AbstractEventLoop) -> None:
        try:
            served = load(self.settings)
        except Exception as error:  # of whatever kind: nobody waits for this thread
            LOG.debug("loading failed", exc_info=True)
            loop.call_soon_threadsafe(self._failed, f"{type(error).__name__}: {error}")
        else:
            loop.call_soon_threadsafe(self._loaded, served)

    def _loaded(self, served: Served) -> None:
        self.served = served
        LOG.info("%s is ready", served.names[0])

    def _failed(self, reason: str) -> None:
        self.failure = reason
        LOG.error("%s could not be loaded: %s", self.settings.model, reason)

    def _stats(self) -> Stats | None:
        return self.served.engine.stats() if self.served else None
