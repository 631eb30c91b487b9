"""The state of a running server: what it serves, and whether it still takes requests."""

import asyncio
import logging
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Generator
from contextlib import contextmanager

from engine.api import Stats
from server.core.errors import unavailable
from server.core.tool_host import ToolHost
from server.runtime.knowledge_base import Knowledge, tend
from server.runtime.metrics import Metrics
from server.runtime.runtime import Served
from server.runtime.settings import Settings

LOG = logging.getLogger("stoa")


class House:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(self._stats, self._knowledge, self._host)
        self.served: Served | None = None
        self.failure: str | None = None  # why loading failed
        self.deadline: float | None = None  # while draining: when (time.monotonic) requests are cut off
        self.calls = 0  # requests being answered
        self._tending: asyncio.Task[None] | None = None  # of the knowledge base
        self._connecting: asyncio.Task[None] | None = None  # to the MCP servers

    @property
    def state(self) -> str:
        if self.failure is not None:
            return "failed"
        if self.deadline is not None:
            return "draining"
        if self._tending is not None and self._tending.done():
            return "failed"  # uploads would wait for ever
        return "loading" if self.served is None else "ready" if self.served.engine.alive else "failed"

    def load(self, load: Callable[[], Served]) -> None:
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
        """Whoever still waits for an answer gets an error. Files that are being read go back to the queue."""
        served, self.served = self.served, None
        if self._tending is not None:
            self._tending.cancel()
            await asyncio.wait((self._tending,))
        if served is not None:
            await served.close()

    @contextmanager
    def call(self) -> Generator[None]:
        self.calls += 1
        try:
            yield
        finally:
            self.calls -= 1

    def _load(self, load: Callable[[], Served], loop: AbstractEventLoop) -> None:
        try:
            served = load()
        except Exception as error:  # of whatever kind: nobody waits for this thread
            LOG.debug("loading failed", exc_info=True)
            loop.call_soon_threadsafe(self._failed, f"{type(error).__name__}: {error}")
        else:
            loop.call_soon_threadsafe(self._loaded, served)

    def _loaded(self, served: Served) -> None:
        self.served = served
        if served.knowledge is not None:
            self._tending = asyncio.create_task(tend(served.knowledge))
        if served.host is not None:
            self._connecting = asyncio.create_task(served.host.start())
        LOG.info("%s is ready", served.names[0])

    def _failed(self, reason: str) -> None:
        self.failure = reason
        LOG.error("loading failed: %s", reason)

    def _knowledge(self) -> Knowledge | None:
        return self.served.knowledge if self.served else None

    def _host(self) -> ToolHost | None:
        return self.served.host if self.served else None

    def _stats(self) -> Stats | None:
        return self.served.engine.stats() if self.served else None
