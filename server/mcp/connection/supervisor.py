"""The one task that opens a server's connection, keeps it, and opens it again when it is lost."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from server.core.tool_host import ServerUnavailable, ToolHostError
from server.mcp.config.config import ServerSpec
from server.mcp.connection.circuit_breaker import CircuitBreaker, RetryPolicy
from server.mcp.connection.status import StatusTracker
from server.mcp.connection.tool_cache import ToolListCache
from server.mcp.sanitize import parting
from server.mcp.session import McpSession, OpenSession, SessionCallbacks, SessionLost

LOG = logging.getLogger("stoa")
SILENT = "it no longer answered, and was given up"
LEAVING = 10.0  # seconds that a connection may take to close; a server that hangs may never answer to the farewell


@dataclass(frozen=True, slots=True)
class Session:
    link: McpSession
    shelf: ToolListCache


Greet = Callable[[Session], Awaitable[None]]  # what is done before anybody else may use it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the keeper shares with those who call."""

    spec: ServerSpec
    circuit: CircuitBreaker
    record: StatusTracker
    patience: RetryPolicy


class Supervisor:
    def __init__(self, ground: Shared, opener: OpenSession, greet: Greet) -> None:
        self._ground, self._opener, self._greet = ground, opener, greet
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._closed = False
        self._silence: str | None = None  # why the present session was given up; None: it was not
        self._decided, self._lost = asyncio.Event(), asyncio.Event()

    def start(self) -> None:
        """Once; not after `close`."""
        if (self._task is None or self._task.done()) and not self._closed:
            self._task = asyncio.create_task(self._keep(), name=f"mcp {self._ground.spec.label}")

    async def close(self) -> None:
        task, self._task, self._closed = self._task, None, True
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self._forget()
        self._decided.set()  # nobody need wait
        self._ground.record.move("stopped")

    async def session(self) -> Session:
        """Waits a little for one that is being opened. Raises ServerUnavailable."""
        self.start()
        if self._session is None and not self._closed and not self._ground.circuit.is_open(time.monotonic()):
            try:
                async with asyncio.timeout(self._ground.patience.waits):
                    await self._decided.wait()
            except TimeoutError:
                raise self.unavailable() from None
        if self._session is None:
            raise self.unavailable()
        return self._session

    async def answers(self) -> bool:
        """Asks the server whether it is there, and waits little. A server that does not answer is lost: what hangs does not come
        back by itself, so it is connected anew."""
        if (session := self._session) is None:
            return False
        try:
            async with asyncio.timeout(self._ground.patience.ping):
                await session.link.ping()
        except SessionLost:
            self.lose(session)
        except (ToolHostError, TimeoutError):
            self._give_up(session)
        else:
            return True
        return False

    def unavailable(self, reason: str | None = None) -> ServerUnavailable:
        status = self._ground.record.status
        return ServerUnavailable(f"the MCP server {status.label} cannot be reached: {reason or status.last_error or status.state}")

    def lose(self, session: Session) -> None:
        """A call has noticed before the transport did."""
        if session is self._session:
            self._forget()
            self._lost.set()

    def _give_up(self, session: Session) -> None:
        if session is self._session:
            self._silence = SILENT
            self.lose(session)

    async def _keep(self) -> None:
        """Until it is cancelled, even where what fails on the way out takes the cancellation's place."""
        while True:
            began = time.monotonic()
            try:
                await self._once()
            except Exception as error:  # of whichever transport, in groups of any depth
                self._failed(error, time.monotonic() - began)
            if self._closed:
                return
            await asyncio.sleep(self._ground.circuit.delay(time.monotonic(), random.random()))
            self._ground.record.restarted()

    def _failed(self, error: Exception, lasted: float) -> None:
        self._forget()
        circuit, record, now = self._ground.circuit, self._ground.record, time.monotonic()
        if lasted >= self._ground.patience.steady and self._silence is None:  # it may have hung all the while
            circuit.succeeded()
        circuit.failed(now)
        said = record.note(error)
        if circuit.is_open(now):
            record.move("failed")
            self._decided.set()  # nobody need wait
            then = f"paused for {self._ground.patience.rest:g} seconds after {circuit.failures} failures in a row"
        else:
            record.move("waiting")
            then = "it is connected anew"
        LOG.warning("MCP server %s: %s; %s", self._ground.spec.label, said, then)

    async def _once(self) -> None:
        """Until the link is lost, which it raises."""
        self._forget()
        self._ground.record.move("connecting")
        self._lost, self._silence, shelf = asyncio.Event(), None, ToolListCache(self._ground.spec.label)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._ground.spec.timeout):
                link = await stack.enter_async_context(self._opener(SessionCallbacks(changed=shelf.outdate, lost=self._lost.set)))
                session = Session(link, shelf)
                await self._greet(session)
            self._opened(session)
            await self._lost.wait()
            self._forget()  # before the transport is closed, which takes its time
            await self._leave(stack)
        raise SessionLost(self._silence or parting(link.last_words))

    async def _leave(self, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(LEAVING):
                await stack.aclose()
        except TimeoutError:
            LOG.warning("MCP server %s: its connection did not close in %g seconds", self._ground.spec.label, LEAVING)

    def _opened(self, session: Session) -> None:
        record = self._ground.record
        name, version = session.link.server or (None, None)
        record.status = replace(
            record.status, protocol_version=session.link.protocol_version, server_name=name, server_version=version, last_error=None
        )
        record.move("ready")
        self._session = session
        self._decided.set()

    def _forget(self) -> None:
        self._session = None
        self._decided.clear()
        if self._ground.record.status.state == "ready":
            self._ground.record.move("waiting")
