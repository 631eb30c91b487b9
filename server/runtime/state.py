"""The life cycle of a server: loading, ready, draining, failed, closed."""

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
from server.runtime.knowledge_base import KnowledgeBase, run_ingestion
from server.runtime.metrics import Metrics
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings

LOG = logging.getLogger("stoa")


class ServerState:
    """Settings, metrics and runtime of one server, and whether it takes requests. Used from the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics(self._stats, self._knowledge, self._host)
        self.runtime: Runtime | None = None
        self.load_error: str | None = None  # why loading failed
        self.deadline: float | None = None  # while draining: when (time.monotonic) requests are cut off
        self.active_requests = 0  # requests in progress
        self._ingestion: asyncio.Task[None] | None = None
        self._mcp_start: asyncio.Task[None] | None = None

    @property
    def status(self) -> str:
        if self.load_error is not None:
            return "failed"
        if self.deadline is not None:
            return "draining"
        if self._ingestion is not None and self._ingestion.done():
            return "failed"  # uploads would never be processed
        return "loading" if self.runtime is None else "ready" if self.runtime.engine.alive else "failed"

    def start_loading(self, load: Callable[[], Runtime]) -> None:
        """Loads in a daemon thread, so that a server stopped meanwhile exits at once."""
        threading.Thread(target=self._load, args=(load, get_running_loop()), name="load", daemon=True).start()

    def expect_ready(self) -> Runtime:
        """The runtime. Raises ApiError 503 unless requests are taken."""
        if self.runtime is None or self.deadline is not None or not self.runtime.engine.alive:
            raise unavailable(self.load_error or f"the server is not ready: {self.status}", f"not_ready_{self.status}")
        return self.runtime

    def drain(self) -> None:
        """Takes no new requests."""
        self.deadline = time.monotonic() + self.settings.drain_seconds

    @property
    def drained(self) -> bool:
        return self.deadline is not None and (self.active_requests == 0 or time.monotonic() >= self.deadline)

    async def close(self) -> None:
        """Pending requests fail. Files that are being ingested go back to the queue."""
        runtime, self.runtime = self.runtime, None
        if self._ingestion is not None:
            self._ingestion.cancel()
            await asyncio.wait((self._ingestion,))
        if runtime is not None:
            await runtime.close()

    @contextmanager
    def count_request(self) -> Generator[None]:
        """Counts a request as active while the block runs."""
        self.active_requests += 1
        try:
            yield
        finally:
            self.active_requests -= 1

    def _load(self, load: Callable[[], Runtime], loop: AbstractEventLoop) -> None:
        try:
            runtime = load()
        except Exception as error:  # of any kind: nobody joins this thread
            LOG.debug("loading failed", exc_info=True)
            loop.call_soon_threadsafe(self._failed, f"{type(error).__name__}: {error}")
        else:
            loop.call_soon_threadsafe(self._loaded, runtime)

    def _loaded(self, runtime: Runtime) -> None:
        self.runtime = runtime
        if runtime.knowledge_base is not None:
            self._ingestion = asyncio.create_task(run_ingestion(runtime.knowledge_base))
        if runtime.tool_host is not None:
            self._mcp_start = asyncio.create_task(runtime.tool_host.start())
        LOG.info("%s is ready", runtime.names[0])

    def _failed(self, reason: str) -> None:
        self.load_error = reason
        LOG.error("loading failed: %s", reason)

    def _knowledge(self) -> KnowledgeBase | None:
        return self.runtime.knowledge_base if self.runtime else None

    def _host(self) -> ToolHost | None:
        return self.runtime.tool_host if self.runtime else None

    def _stats(self) -> Stats | None:
        return self.runtime.engine.stats() if self.runtime else None
