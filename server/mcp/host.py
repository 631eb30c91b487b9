"""All MCP servers behind one door. Connects lazily, and imports `mcp` when the first is connected."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from server.core.tool_host import HostedTool, ServerStatus, ToolOutcome, UnknownServer
from server.mcp import audit
from server.mcp.config.config import Builtin
from server.mcp.connection.connection import Connection

OWNER = "stoa/owner"  # in _meta, to our own server of the knowledge base


class Host:
    """Implements server.core.tool_host.ToolHost. `lazy`: labels that are connected when they are first used."""

    def __init__(self, connections: Iterable[Connection], lazy: frozenset[str] = frozenset()) -> None:
        self._connections = {connection.spec.label: connection for connection in connections}
        self._lazy = lazy

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self._connections)

    async def start(self) -> None:
        for label, connection in self._connections.items():
            if label not in self._lazy:
                connection.start()

    async def tools(self, label: str) -> tuple[HostedTool, ...]:
        return await self.connection(label).tools()

    async def call(self, label: str, name: str, arguments: Mapping[str, Any], *, owner: str) -> ToolOutcome:
        connection = self.connection(label)
        target = connection.spec.target
        known = isinstance(target, Builtin) and target.kind == "knowledge"
        began, ended = time.perf_counter(), "cancelled"
        try:
            outcome = await connection.call(name, arguments, {OWNER: owner} if known else None)
            ended = outcome.fault.kind if outcome.fault else "ok"
            return outcome
        finally:
            audit.called(label, name, arguments, owner, (ended, time.perf_counter() - began))

    def status(self) -> list[ServerStatus]:
        return [connection.status for connection in self._connections.values()]

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    def connection(self, label: str) -> Connection:
        """Raises UnknownServer."""
        if (found := self._connections.get(label)) is None:
            there = ", ".join(self._connections) or "none"
            raise UnknownServer(f"there is no MCP server {label!r}; the operator has configured: {there}")
        return found
