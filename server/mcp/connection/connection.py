"""One MCP server, for everybody: its tools and calls of them. Who keeps the connection is in keeper.py."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from server.core.tool_host import HostedTool, ServerStatus, ServerUnavailable, ToolFault, ToolHostError, ToolOutcome
from server.mcp.config.config import ServerSpec
from server.mcp.connection.circuit_breaker import CircuitBreaker, RetryPolicy
from server.mcp.connection.status import StatusTracker
from server.mcp.connection.supervisor import Session, Shared, Supervisor
from server.mcp.sanitize import failed, withheld
from server.mcp.session import OpenSession, SessionLost, ToolList

LOG = logging.getLogger("stoa")
UNKNOWN_TOOL = -32602  # as MCP has it (JSON-RPC: invalid params)
Arguments = Mapping[str, Any]


class Judge(Protocol):
    """What is pinned of servers' tools. May read and write files."""

    def changed(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        """The tools that are not as pinned; a server seen for the first time is pinned as it is. Raises HostError."""
        ...

    def pinned(self, label: str) -> str | None: ...


class Connection:
    def __init__(self, spec: ServerSpec, opener: OpenSession, judge: Judge, patience: RetryPolicy) -> None:
        self.spec = spec
        self._judge, self._circuit, self._record = judge, CircuitBreaker(patience), StatusTracker(spec)
        ground = Shared(spec=spec, circuit=self._circuit, record=self._record, patience=patience)
        self._keeper = Supervisor(ground, opener, self._greet)
        self.start, self.close = self._keeper.start, self._keeper.close

    @property
    def status(self) -> ServerStatus:
        """What is known without asking anybody."""
        known = self._record.status
        paused = known.state == "ready" and self._circuit.is_open(time.monotonic())
        return replace(known, state="failed") if paused else known

    async def tools(self) -> tuple[HostedTool, ...]:
        """Raises ServerUnavailable."""
        try:
            async with asyncio.timeout(self.spec.timeout):
                session = await self._keeper.session()
                return await self._judged(await self._listed(session))
        except TimeoutError:
            await self._keeper.answers()
            raise self._keeper.unavailable("it did not list its tools in time") from None
        except ServerUnavailable:
            raise
        except (SessionLost, ToolHostError) as error:
            raise self._keeper.unavailable(self._record.note(error)) from error

    async def catalogue(self) -> ToolList:
        """As it is now, whatever is pinned. Raises HostError, LinkLost."""
        session = await self._keeper.session()
        return await session.shelf.catalogue(session.link)

    async def call(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        began = time.monotonic()
        if self._circuit.admit(began):
            outcome = await self._counted(name, arguments, meta)
        else:
            outcome = failed("unavailable", f"the server {self.spec.label} is paused: it failed {self._circuit.failures} times in a row")
        return self._record.counted(replace(outcome, seconds=time.monotonic() - began))

    async def _counted(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        try:
            outcome = await self._in_time(name, arguments, meta)
            await self._settle(outcome)
        except asyncio.CancelledError:
            self._circuit.gave_up()
            raise
        return outcome

    async def _in_time(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        seconds = self.spec.limits_of(name).timeout
        try:
            async with asyncio.timeout(seconds):
                return await self._attempts(name, arguments, meta)
        except TimeoutError:
            return failed("timeout", f"{name} was stopped: it took longer than {seconds:g} seconds")

    async def _attempts(self, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        """A second one where the server died during a call that may be repeated."""
        try:
            session = await self._keeper.session()
            tool = await session.shelf.tool(session.link, name)
            if tool is None:
                return failed("protocol", f"the server {self.spec.label} has no tool {name!r}", UNKNOWN_TOOL)
            try:
                return await self._attempt(session, name, arguments, meta)
            except SessionLost:
                if not _repeatable(tool):
                    raise
            return await self._attempt(await self._keeper.session(), name, arguments, meta)
        except SessionLost as lost:
            return failed("unavailable", f"{lost}; whether the call had an effect is not known")
        except ToolHostError as error:
            return failed("unavailable", str(error))

    async def _attempt(self, session: Session, name: str, arguments: Arguments, meta: Arguments | None) -> ToolOutcome:
        try:
            return await session.link.call(name, arguments, meta)
        except SessionLost:
            self._keeper.lose(session)
            raise

    async def _settle(self, outcome: ToolOutcome) -> None:
        """The circuit is the connection's, for all tools and all callers: a call that took too long, or that HTTP refused, only
        counts when the server does not answer anything else either. A connection that was lost, or given up, or not there, is its
        keeper's to count."""
        match outcome.fault:
            case ToolFault(kind="timeout" | "http"):
                there = await self._keeper.answers()
            case ToolFault(kind="unavailable"):
                there = False
            case _:
                there = True
        if there:
            self._circuit.succeeded()
        else:
            self._circuit.gave_up()

    async def _greet(self, session: Session) -> None:
        await self._judged(await session.shelf.catalogue(session.link))

    async def _listed(self, session: Session) -> ToolList:
        try:
            return await session.shelf.catalogue(session.link)
        except SessionLost:
            self._keeper.lose(session)
            raise

    async def _judged(self, catalogue: ToolList) -> tuple[HostedTool, ...]:
        label = self.spec.label
        changed = await asyncio.to_thread(self._judge.changed, label, catalogue.digests)
        tools = tuple(replace(tool, changed=tool.name in changed) for tool in catalogue.tools)
        pinned = await asyncio.to_thread(self._judge.pinned, label)
        self._tell(changed)
        held = (f"the tool {name!r} is withheld from the model: {withheld(label)}" for name in sorted(changed))
        self._record.status = replace(
            self._record.status,
            tools=tools,
            digest=catalogue.digest,
            pinned=pinned,
            left_out={name: self._record.shown(why) for name, why in catalogue.left_out.items()},
            notes=tuple(map(self._record.shown, (*held, *catalogue.notes))),
        )
        return tools

    def _tell(self, changed: frozenset[str]) -> None:
        """Of what has not been told before."""
        for tool in sorted(changed - {tool.name for tool in self._record.status.tools if tool.changed}):
            LOG.warning("MCP server %s: the tool %r is withheld from the model: %s", self.spec.label, tool, withheld(self.spec.label))


def _repeatable(tool: HostedTool) -> bool:
    """By its server's own word: if that is false, it is the server that does a thing twice."""
    said = tool.annotations or {}
    return said.get("readOnlyHint") is True or said.get("idempotentHint") is True
