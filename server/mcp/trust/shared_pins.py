"""Pins that all servers with one database share: a tool that one of them has seen first is the same for the others, on whatever machine."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from retrieval.api import KnowledgeError
from server.archive.api import Pins
from server.core.tool_host import ToolHostError
from server.mcp.session import tool_list_digest
from server.mcp.trust.pins import ToolPins


class SharedPins:
    """Implements server.mcp.connection.connection.PinChecker. `before`: what this machine has pinned before the pins were shared."""

    def __init__(self, archive: Pins, before: ToolPins) -> None:
        self._archive, self._before = archive, before

    def changed_tools(self, label: str, digests: Mapping[str, str]) -> frozenset[str]:
        """Raises ToolHostError where the pins cannot be read: then no tool is trusted."""
        pinned = self.pinned_tools(label)
        if pinned is None:
            with _told():
                pinned = self._archive.pin_tools_first(label, self._before.pinned_tools(label) or digests)
        return frozenset(name for name, digest in digests.items() if pinned.get(name) != digest)

    def pinned_digest(self, label: str) -> str | None:
        pinned = self.pinned_tools(label)
        return None if pinned is None else tool_list_digest(pinned)

    def pinned_tools(self, label: str) -> Mapping[str, str] | None:
        """Tool name -> digest; None: no server has seen it yet."""
        with _told():
            return self._archive.pinned_tools(label)

    def pin(self, label: str, digests: Mapping[str, str]) -> None:
        with _told():
            self._archive.pin_tools(label, digests)


@contextmanager
def _told() -> Generator[None]:
    try:
        yield
    except KnowledgeError as error:
        raise ToolHostError(f"whether its tools are those that were trusted cannot be told: {error}") from error
