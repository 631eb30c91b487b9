"""Keeps one MCP server connected: opens the session, waits until it is lost, and reconnects with backoff."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace

from server.core.tool_host import ServerUnavailable, ToolHostError
from server.mcp.config.server_spec import ServerSpec
from server.mcp.connection.circuit_breaker import CircuitBreaker
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.connection.status import StatusTracker
from server.mcp.connection.time_limit import TimeLimit
from server.mcp.connection.tool_list_cache import ToolListCache
from server.mcp.session import McpSession, ServerMisbehaved, SessionCallbacks, SessionLost, SessionOpener, ToolList

LOG = logging.getLogger("stoa")
LOG_PERIOD = 60.0  # seconds
CLOSE_TIMEOUT = 10.0  # seconds that a session may take to close: a server that hangs may never answer the shutdown


@dataclass(frozen=True, slots=True)
class CachedSession:
    """An open session and the cache of its tool list."""

    mcp: McpSession
    cache: ToolListCache

    async def tool_list(self) -> ToolList:
        """Raises SessionLost, ToolHostError."""
        return await self.cache.get(self.mcp)


OnConnect = Callable[[CachedSession], Awaitable[None]]  # runs after each connect, before any call may use the session


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionContext:
    """What a Connection and its Supervisor share."""

    spec: ServerSpec
    circuit: CircuitBreaker
    status: StatusTracker
    retry_policy: RetryPolicy


class Supervisor:
    """Owns the task in which the session is opened and closed. Other tasks call its methods on the same event loop."""

    def __init__(self, context: ConnectionContext, opener: SessionOpener, on_connect: OnConnect) -> None:
        self._context, self._opener, self._on_connect = context, opener, on_connect
        self._limit = TimeLimit()
        self._task: asyncio.Task[None] | None = None
        self._session: CachedSession | None = None
        self._closed = False
        self._abandoned = False  # the current session was given up for want of answers
        self._loss: SessionLost | None = None  # why the current session was lost, as far as that is known
        self._attempt_done, self._lost = asyncio.Event(), asyncio.Event()  # the attempt to connect is decided; the session is lost
        self._wanted = asyncio.Event()  # a call waits for a session
        self._logged = ("", ""), 0.0  # the last failure that was logged and what followed from it, and when

    def start(self) -> None:
        """Starts the task unless it runs already. No effect after `close`."""
        if (self._task is None or self._task.done()) and not self._closed:
            self._task = asyncio.create_task(self._run(), name=f"mcp {self._context.spec.label}")

    async def close(self) -> None:
        task, self._task, self._closed = self._task, None, True
        if task is not None:
            task.cancel()
            await asyncio.wait((task,))
        self._clear_session()
        self._attempt_done.set()  # releases requests that wait for a connection
        self._context.status.set_state("stopped")

    async def session(self) -> CachedSession:
        """Waits up to retry_policy.connect_wait for a session that is being opened. Raises ServerUnavailable."""
        self.start()
        if self._session is None and not self._closed and not self._context.circuit.is_open(time.monotonic()):
            self._attempt_done.clear()  # it may be set for the last attempt
            self._wanted.set()
            try:
                async with asyncio.timeout(self._context.retry_policy.connect_wait):
                    await self._attempt_done.wait()
            except TimeoutError:
                raise self.unavailable() from None
        if self._session is None:
            raise self.unavailable()
        return self._session

    async def ping(self) -> bool:
        """Whether the server answers within retry_policy.ping_timeout. If not, its session is discarded and it is reconnected: a
        server that hangs does not recover by itself."""
        if (session := self._session) is None:
            return False
        try:
            await self._limit.within(self._context.retry_policy.ping_timeout, session.mcp.ping())
        except SessionLost:
            self.discard(session)
        except (ToolHostError, TimeoutError):
            self._abandon(session)
        else:
            return True
        return False

    def unavailable(self, reason: str | None = None) -> ServerUnavailable:
        """The error to raise; without a reason the last error is given, else the state."""
        status = self._context.status.status
        return ServerUnavailable(f"the MCP server {status.label} cannot be reached: {reason or status.last_error or status.state}")

    def discard(self, session: CachedSession) -> None:
        """A call found the session lost, perhaps before the transport did; a session that is no longer current is ignored."""
        if session is self._session:
            self._clear_session()
            self._lost.set()

    def _abandon(self, session: CachedSession) -> None:
        if session is self._session:
            self._abandoned, self._loss = True, SessionLost("it no longer answered, and was given up")
            self.discard(session)

    def _on_connection_lost(self, loss: SessionLost | None) -> None:
        self._loss = self._loss or loss
        self._lost.set()

    async def _run(self) -> None:
        """Reconnects until it is cancelled, or finds itself closed where an error while leaving replaced the cancellation."""
        while True:
            started = time.monotonic()
            try:
                await self._connect_and_wait()
            except Exception as error:  # transports raise many types, in nested groups
                self._record_failure(error, time.monotonic() - started)
            if self._closed:
                return
            await self._wait_to_reconnect()
            self._context.status.count_restart()

    async def _wait_to_reconnect(self) -> None:
        delay = self._context.circuit.reconnect_delay(time.monotonic(), random.random())
        demand = self._context.retry_policy.demand_delay
        if demand is None or delay <= demand:
            await asyncio.sleep(delay)
            return
        self._wanted.clear()
        await asyncio.sleep(demand)
        with suppress(TimeoutError):
            async with asyncio.timeout(delay - demand):  # wait_for would lose a cancellation that comes with the event
                await self._wanted.wait()

    def _record_failure(self, error: Exception, lasted: float) -> None:
        self._clear_session()
        circuit, status, policy = self._context.circuit, self._context.status, self._context.retry_policy
        if lasted >= policy.stable_after and not self._abandoned:  # an abandoned session may have hung all the time
            circuit.record_success()
        now = time.monotonic()
        circuit.record_failure(now, final=isinstance(error, ServerMisbehaved))
        message = status.record_error(error)
        if circuit.is_open(now):
            status.set_state("failed")
            self._attempt_done.set()  # releases requests that wait for a connection
            next_step = f"paused for {policy.open_seconds:g} seconds after {circuit.failures} failures in a row"
        else:
            status.set_state("waiting")
            next_step = "it is connected anew"
        self._log_failure(message, next_step, now)

    def _log_failure(self, message: str, next_step: str, now: float) -> None:
        """The same failure is logged once a minute: where calls bring about attempts there may be one each second."""
        kind, (logged, when) = (message, next_step.partition(" ")[0]), self._logged
        if kind != logged or now - when >= LOG_PERIOD:
            self._logged = kind, now
            LOG.warning("MCP server %s: %s; %s", self._context.spec.label, message, next_step)

    async def _connect_and_wait(self) -> None:
        """Opens a session and waits until it is lost. Raises SessionLost then, or what the transport raises."""
        self._clear_session()
        self._context.status.set_state("connecting")
        self._lost, self._loss, self._abandoned = asyncio.Event(), None, False
        cache = ToolListCache(self._context.spec.label)
        callbacks = SessionCallbacks(on_tools_changed=cache.invalidate, on_connection_lost=self._on_connection_lost)
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self._context.spec.timeout):
                session = CachedSession(await stack.enter_async_context(self._opener(callbacks)), cache)
                await self._on_connect(session)
            self._publish(session)
            await self._lost.wait()
            self._clear_session()  # before the transport is closed, which takes time
            await self._close_transport(stack)
        raise self._loss or SessionLost("it went away")

    async def _close_transport(self, stack: AsyncExitStack) -> None:
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await stack.aclose()
        except TimeoutError:
            LOG.warning("MCP server %s: the connection did not close within %g seconds", self._context.spec.label, CLOSE_TIMEOUT)

    def _publish(self, session: CachedSession) -> None:
        """From now on calls may use the session."""
        status = self._context.status
        name, version = session.mcp.server_info or (None, None)
        status.status = replace(
            status.status, protocol_version=session.mcp.protocol_version, server_name=name, server_version=version, last_error=None
        )
        status.set_state("ready")
        self._session = session
        self._attempt_done.set()

    def _clear_session(self) -> None:
        self._session = None
        self._attempt_done.clear()
        if self._context.status.status.state == "ready":
            self._context.status.set_state("waiting")
