"""The tool host: routes tool listings and calls to the connections of all MCP servers. `mcp` is imported on the first connect."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from server.core.tool_host import HostedTool, ServerStatus, ToolOutcome, UnknownServer
from server.mcp import audit
from server.mcp.config.server_spec import Builtin
from server.mcp.connection.connection import Connection

OWNER_META_KEY = "stoa/owner"  # key in _meta that tells the built-in knowledge base server whose request it is


class McpHost:
    """Implements server.core.tool_host.ToolHost. `lazy`: labels of servers that are connected on first use, not by `start`."""

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
        sends_owner = isinstance(target, Builtin) and target.kind == "knowledge"
        started, result = time.perf_counter(), "cancelled"
        try:
            outcome = await connection.call(name, arguments, {OWNER_META_KEY: owner} if sends_owner else None)
            result = outcome.fault.kind if outcome.fault else "ok"
            return outcome
        finally:
            audit.log_call(label, name, arguments, owner, (result, time.perf_counter() - started))

    def status(self) -> list[ServerStatus]:
        return [connection.status for connection in self._connections.values()]

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._connections.values()))

    def connection(self, label: str) -> Connection:
        """Raises UnknownServer."""
        if (connection := self._connections.get(label)) is None:
            labels = ", ".join(self._connections) or "none"
            raise UnknownServer(f"there is no MCP server {label!r}; the operator has configured: {labels}")
        return connection
