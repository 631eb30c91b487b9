"""Caches the tool list of one session; fetches it again when it has expired or the server has announced a change."""

import asyncio
import logging
import time

from server.core.tool_host import HostedTool
from server.mcp.sanitize import sanitize
from server.mcp.session import McpSession, ToolList

LOG = logging.getLogger("stoa")


class ToolListCache:
    """For one session: each new session gets a new cache."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._cached: ToolList | None = None
        self._expires = 0.0  # time.monotonic
        self._invalidations = 0
        self._lock = asyncio.Lock()

    def invalidate(self) -> None:
        self._invalidations += 1
        self._expires = 0.0

    async def get(self, session: McpSession) -> ToolList:
        """Raises SessionLost, ToolHostError."""
        async with self._lock:
            if self._cached is None or time.monotonic() >= self._expires:
                invalidations = self._invalidations
                tool_list = await session.list_tools()
                self._log_new_notes(tool_list)
                self._cached = tool_list
                if invalidations == self._invalidations:  # no change was announced meanwhile
                    self._expires = time.monotonic() + (float("inf") if tool_list.ttl_seconds is None else tool_list.ttl_seconds)
            return self._cached

    async def find(self, session: McpSession, name: str) -> HostedTool | None:
        """Looks in the cached list first, even an expired one; fetches the list only for a name that is not in it."""
        cached = _find(self._cached, name)
        return cached or _find(await self.get(session), name)

    def _log_new_notes(self, tool_list: ToolList) -> None:
        known = self._cached.notes if self._cached else ()
        for note in tool_list.notes:
            if note not in known:
                LOG.warning("MCP server %s: %s", self._label, sanitize(note))


def _find(tool_list: ToolList | None, name: str) -> HostedTool | None:
    return next((tool for tool in tool_list.tools if tool.name == name), None) if tool_list else None
