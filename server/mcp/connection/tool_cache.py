"""A link's list of tools, asked for again when it is stale."""

import asyncio
import logging
import time

from server.core.tool_host import HostedTool
from server.mcp.sanitize import plain
from server.mcp.session import McpSession, ToolList

LOG = logging.getLogger("stoa")


class ToolListCache:
    """Of one link: whoever connects anew takes a new one."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._kept: ToolList | None = None
        self._until = 0.0  # time.monotonic
        self._changes = 0  # that the server has announced
        self._one = asyncio.Lock()

    def outdate(self) -> None:
        self._changes += 1
        self._until = 0.0

    async def catalogue(self, link: McpSession) -> ToolList:
        """Raises LinkLost, HostError."""
        async with self._one:
            if self._kept is None or time.monotonic() >= self._until:
                changes = self._changes
                self._keep(await link.catalogue(), changes)
            assert self._kept is not None
            return self._kept

    async def tool(self, link: McpSession, name: str) -> HostedTool | None:
        """From what was listed last, however old that is: only for a name that is not in it the server is asked."""
        found = _named(self._kept, name)
        return found or _named(await self.catalogue(link), name)

    def _keep(self, catalogue: ToolList, changes: int) -> None:
        before = self._kept.notes if self._kept else ()
        for note in catalogue.notes:
            if note not in before:
                LOG.warning("MCP server %s: %s", self._label, plain(note))
        self._kept = catalogue
        if changes == self._changes:  # it is not out of date already
            self._until = time.monotonic() + (float("inf") if catalogue.seconds is None else catalogue.seconds)


def _named(catalogue: ToolList | None, name: str) -> HostedTool | None:
    return next((tool for tool in catalogue.tools if tool.name == name), None) if catalogue else None
