"""One MCP server for all its callers: tool listing and tool calls, with timeout, retry and circuit breaker. The session itself is
kept open by supervisor.py."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from server.core.tool_host import HostedTool, ServerStatus, ServerUnavailable, ToolFault, ToolHostError, ToolOutcome
from server.mcp.config.server_spec import ServerSpec
from server.mcp.connection.circuit_breaker import CircuitBreaker
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.connection.status import StatusTracker
from server.mcp.connection.supervisor import CachedSession, ConnectionContext, Supervisor
from server.mcp.connection.time_limit import TimeLimit
from server.mcp.sanitize import approval_hint, fault_outcome
from server.mcp.session import CallNotTaken, SessionLost, SessionOpener, ToolList

LOG = logging.getLogger("stoa")
UNKNOWN_TOOL = -32602  # the code that MCP specifies for it (JSON-RPC: invalid params)
Arguments = Mapping[str, Any]


class PinChecker(Protocol):
    """Compares tools with their pinned digests. The methods block: they may read and write files. Both raise ToolHostError."""

    def changed_tools(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        """The tools whose digest is not the pinned one. The tools of a server seen for the first time are pinned as they are."""
        ...

    def pinned_digest(self, label: str) -> str | None:
        """Of the whole pinned tool list; None: nothing is pinned."""
        ...


class Connection:
    def __init__(self, spec: ServerSpec, opener: SessionOpener, pins: PinChecker, retry_policy: RetryPolicy) -> None:
        self.spec = spec
        self._pins, self._circuit, self._status = pins, CircuitBreaker(retry_policy), StatusTracker(spec)
        context = ConnectionContext(spec=spec, circuit=self._circuit, status=self._status, retry_policy=retry_policy)
        self._limit = TimeLimit()
        self._supervisor = Supervisor(context, opener, self._on_connect)
        self.start, self.close = self._supervisor.start, self._supervisor.close

    @property
    def status(self) -> ServerStatus:
        """The last known status; asks the server nothing."""
        status = self._status.status
        paused = status.state == "ready" and self._circuit.is_open(time.monotonic())
        return replace(status, state="failed") if paused else status

    async def tools(self) -> tuple[HostedTool, ...]:
        """Raises ServerUnavailable."""
        try:
            return await self._limit.within(self.spec.timeout, self._list_tools())
        except TimeoutError:
            await self._supervisor.ping()
            raise self._supervisor.unavailable("it did not list its tools in time") from None
        except ServerUnavailable:
            raise
        except (SessionLost, ToolHostError) as error:
            raise self._supervisor.unavailable(self._status.record_error(error)) from error

    async def _list_tools(self) -> tuple[HostedTool, ...]:
        session = await self._supervisor.session()
        return await self._check_pins(await self._tool_list(session))

    async def fetch_tool_list(self) -> ToolList:
        """The current tools, not compared with the pins. Raises ToolHostError, SessionLost."""
        session = await self._supervisor.session()
        return await session.tool_list()

    async def call(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        started = time.monotonic()
        if self._circuit.allow(started):
            outcome = await self._call_through_circuit(name, arguments, meta)
        else:
            reason = f"the server {self.spec.label} is paused: it failed {self._circuit.failures} times in a row"
            outcome = fault_outcome("unavailable", reason)
        return self._status.count_call(replace(outcome, seconds=time.monotonic() - started))

    async def _call_through_circuit(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        try:
            outcome = await self._call_with_timeout(name, arguments, meta)
            await self._update_circuit(outcome)
        except asyncio.CancelledError:
            self._circuit.release_probe()
            raise
        return outcome

    async def _call_with_timeout(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        seconds = self.spec.limits_of(name).timeout
        try:
            return await self._limit.within(seconds, self._call_with_retry(name, arguments, meta))
        except TimeoutError:
            return fault_outcome("timeout", f"{name} was stopped: it took longer than {seconds:g} seconds")

    async def _call_with_retry(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        """One retry, in a new session, where the session was lost during a call that is safe to repeat, or before it."""
        try:
            session = await self._supervisor.session()
            tool = await session.cache.find(session.mcp, name)
            if tool is None:
                return fault_outcome("protocol", f"the server {self.spec.label} has no tool {name!r}", UNKNOWN_TOOL)
            try:
                return await self._call_once(session, name, arguments, meta)
            except SessionLost as error:
                if not _is_repeatable(tool) and not isinstance(error, CallNotTaken):
                    raise
            return await self._call_once(await self._supervisor.session(), name, arguments, meta)
        except SessionLost as error:
            return fault_outcome("unavailable", f"{error}; whether the call had an effect is not known")
        except ToolHostError as error:
            return fault_outcome("unavailable", str(error))

    async def _call_once(self, session: CachedSession, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        try:
            return await session.mcp.call(name, arguments, meta)
        except SessionLost:
            self._supervisor.discard(session)
            raise

    async def _update_circuit(self, outcome: ToolOutcome) -> None:
        """The circuit is shared by all tools and callers of the server: a call that timed out or got an HTTP error counts only where
        the server does not answer a ping either. Lost and missing sessions are counted by the supervisor."""
        match outcome.fault:
            case ToolFault(kind="timeout" | "http"):
                alive = await self._supervisor.ping()
            case ToolFault(kind="unavailable"):
                alive = False
            case _:
                alive = True
        if alive:
            self._circuit.record_success()
        else:
            self._circuit.release_probe()

    async def _on_connect(self, session: CachedSession) -> None:
        await self._check_pins(await session.tool_list())

    async def _tool_list(self, session: CachedSession) -> ToolList:
        try:
            return await session.tool_list()
        except SessionLost:
            self._supervisor.discard(session)
            raise

    async def _check_pins(self, tool_list: ToolList) -> tuple[HostedTool, ...]:
        """The tools, those that differ from their pins marked as changed. Updates the status."""
        label = self.spec.label
        changed = await asyncio.to_thread(self._pins.changed_tools, label, tool_list.digests)
        tools = tuple(replace(tool, changed=tool.name in changed) for tool in tool_list.tools)
        pinned = await asyncio.to_thread(self._pins.pinned_digest, label)
        self._log_changed(changed)
        withheld = (f"the tool {name!r} is withheld from the model: {approval_hint(label)}" for name in sorted(changed))
        self._status.status = replace(
            self._status.status,
            tools=tools,
            digest=tool_list.digest,
            pinned=pinned,
            left_out={name: self._status.sanitize(reason) for name, reason in tool_list.left_out.items()},
            notes=tuple(map(self._status.sanitize, (*withheld, *tool_list.notes))),
        )
        return tools

    def _log_changed(self, changed: frozenset[str]) -> None:
        """Logs each changed tool once."""
        for tool in sorted(changed - {tool.name for tool in self._status.status.tools if tool.changed}):
            LOG.warning("MCP server %s: the tool %r is withheld from the model: %s", self.spec.label, tool, approval_hint(self.spec.label))


def _is_repeatable(tool: HostedTool) -> bool:
    """By the server's own annotations, trusted or not: if they are wrong, the server alone is harmed by the repetition."""
    annotations = tool.annotations or {}
    return annotations.get("readOnlyHint") is True or annotations.get("idempotentHint") is True
