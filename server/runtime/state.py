"""The life cycle of a server: loading, ready, draining, failed, closed."""

import asyncio
import logging
import os
import secrets
import socket
import threading
import time
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from engine.api import ImageStats, Stats
from retrieval.api import DatabaseFault, KnowledgeError
from retrieval.store.api import Store
from server.archive.api import Archive
from server.core.errors import unavailable
from server.core.tool_host import ToolHost, ToolHostError
from server.runtime.knowledge_base import KnowledgeBase, run_ingestion
from server.runtime.metrics import Metrics
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.throttle import Throttle
from server.runtime.upkeep.database_monitor import DatabaseMonitor
from server.runtime.upkeep.heartbeat import Heartbeat
from server.runtime.upkeep.housekeeping import remove_expired
from server.runtime.upkeep.memory import give_back_memory
from server.weights.cache import PullError

LOG = logging.getLogger("stoa")
Worker = Callable[[Runtime], Coroutine[Any, Any, None]]  # works until it is cancelled


class ServerState:
    """Settings, metrics and runtime of one server, and whether it takes requests. Used from the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"  # in the leases of what this process works on
        self.metrics = Metrics(self._stats, self._knowledge, self._host, self._database, self._archive, self._images)
        self.runtime: Runtime | None = None
        self.throttle = Throttle(self._generates, keyed=bool(settings.api_keys))
        self.load_error: str | None = None  # why loading failed
        self.misconfigured = False  # loading failed because of a setting: with the same ones it fails again
        self.deadline: float | None = None  # while draining: when (time.monotonic) requests are cut off
        self.active_requests = 0  # requests in progress
        self._quiet = asyncio.Event()  # no request is in progress
        self._quiet.set()
        self._workers: list[Worker] = []  # started once loaded
        self._working: list[asyncio.Task[None]] = []
        self._ingestion: asyncio.Task[None] | None = None
        self._mcp_start: asyncio.Task[None] | None = None
        self._monitor: DatabaseMonitor | None = None
        self._monitoring: asyncio.Task[None] | None = None
        self._heartbeat: Heartbeat | None = None
        self._trimming: asyncio.Task[None] | None = None
        self._sweeping: asyncio.Task[None] | None = None

    @property
    def status(self) -> str:
        """loading, ready, draining, or failed: only a restart can mend that."""
        if self.load_error is not None:
            return "failed"
        if self.deadline is not None:
            return "draining"
        if not self._ingests:
            return "failed"  # uploads would never be processed
        return "loading" if self.runtime is None else "ready" if self.runtime.alive else "failed"

    @property
    def reason(self) -> str | None:
        """Why the status is not "ready"; None where it is."""
        match self.status:
            case "loading":
                return "the models are being loaded"
            case "draining":
                return "the server is stopping"
            case "failed" if self.load_error is None:
                return "the engine has stopped" if self._ingests else "the embedding model has stopped: files are not read any more"
            case _:
                return self.load_error

    @property
    def database_fault(self) -> DatabaseFault | None:
        """What the database cannot do now. It mends itself, or the operator mends it; chats go on meanwhile."""
        return self._monitor.fault if self._monitor is not None else None

    @property
    def engine_fault(self) -> str | None:
        """Why the engine answers nothing now. It mends itself."""
        return self.runtime.fault if self.runtime is not None else None

    @property
    def _ingests(self) -> bool:
        return self._ingestion is None or not self._ingestion.done()

    def start_loading(self, load: Callable[[], Runtime]) -> None:
        """Loads in a daemon thread, so that a server stopped meanwhile exits at once."""
        threading.Thread(target=self._load, args=(load, get_running_loop()), name="load", daemon=True).start()

    def expect_ready(self) -> Runtime:
        """The runtime. Raises ApiError 503 unless requests are taken."""
        if self.runtime is None or self.deadline is not None or not self.runtime.alive:
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
        known = (self._ingestion, self._monitoring, self._trimming, self._sweeping, *self._working)
        running = [task for task in known if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        if self._heartbeat is not None:
            await asyncio.to_thread(self._heartbeat.stop)
        if runtime is not None:
            await runtime.close()

    def _generates(self) -> bool:
        images = self._images()
        return any(stats.running > 0 for stats in self._stats().values()) or (images is not None and images.running > 0)

    @contextmanager
    def count_request(self) -> Generator[None]:
        """Counts a request as active while the block runs."""
        self.active_requests += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self.active_requests -= 1
            if not self.active_requests:
                self._quiet.set()

    async def quiet(self) -> None:
        """Returns once no request is in progress."""
        await self._quiet.wait()

    def add_worker(self, worker: Worker) -> None:
        """To be called before loading: it is started then, and cancelled before the server closes."""
        self._workers.append(worker)

    def _load(self, load: Callable[[], Runtime], loop: AbstractEventLoop) -> None:
        try:
            runtime = load()
        except Exception as error:  # of any kind: nobody joins this thread
            LOG.debug("loading failed", exc_info=True)
            loop.call_soon_threadsafe(self._failed, error)
        else:
            loop.call_soon_threadsafe(self._loaded, runtime)

    def _loaded(self, runtime: Runtime) -> None:
        self.runtime = runtime
        if runtime.knowledge_base is not None:
            self._ingestion = asyncio.create_task(run_ingestion(runtime.knowledge_base))
        if runtime.database is not None:
            self._monitor = DatabaseMonitor(runtime.database.check)
            self._monitoring = asyncio.create_task(self._monitor.run())
            uploads = [runtime.archive.sweep_uploads] if runtime.archive is not None else []
            self._sweeping = asyncio.create_task(remove_expired([runtime.database.sweep, *uploads]))
        if runtime.archive is not None and self.settings.shares_database:
            names = (self.name, *([runtime.knowledge_base.ingestor.name] if runtime.knowledge_base is not None else []))
            self._heartbeat = Heartbeat(runtime.archive, names)
            self._heartbeat.start()
        self._trimming = asyncio.create_task(give_back_memory())
        if runtime.tool_host is not None:
            self._mcp_start = asyncio.create_task(runtime.tool_host.start())
        self._working = [asyncio.create_task(worker(runtime)) for worker in self._workers]
        LOG.info("%s %s ready", ", ".join(runtime.chat_names), "are" if runtime.others else "is")

    def _failed(self, error: Exception) -> None:
        """What clients read of a database names no host and no path; the log does."""
        explained = isinstance(error, ValueError | PullError | KnowledgeError | OSError | ToolHostError)
        self.load_error = str(error) if explained else f"{type(error).__name__}: {error}"
        self.misconfigured = isinstance(error, ValueError | PullError | ToolHostError) or type(error) is KnowledgeError
        LOG.error("loading failed: %s", f"{error} ({error.detail})" if isinstance(error, DatabaseFault) else self.load_error)

    def _knowledge(self) -> KnowledgeBase | None:
        return self.runtime.knowledge_base if self.runtime else None

    def _database(self) -> Store | None:
        return self.runtime.database if self.runtime else None

    def _archive(self) -> Archive | None:
        return self.runtime.archive if self.runtime else None

    def _images(self) -> ImageStats | None:
        return self.runtime.images.engine.stats() if self.runtime and self.runtime.images else None

    def _host(self) -> ToolHost | None:
        return self.runtime.tool_host if self.runtime else None

    def _stats(self) -> dict[str, Stats]:
        return {name: engine.stats() for name, engine in self.runtime.all_engines.items()} if self.runtime else {}
