"""The interface of an open MCP session, free of the types of `mcp`, which takes a second to import."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.core.tool_host import HostedTool, ToolOutcome


class SessionLost(Exception):
    """The connection broke; whether a call in progress had an effect is not known. The message may be shown to users."""


class ServerMisbehaved(SessionLost):
    """The connection was given up for what the server did: to connect anew at once would only repeat it."""


class CallNotTaken(SessionLost):
    """The server no longer knows the session; the call had no effect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolList:
    """The validated tools of one server.

    `digests`: tool name -> digest of the tool as its server described it. `left_out`: name -> why the tool is not offered.
    `notes`: for the operator: the tools left out, and configured names that match no tool. `ttl_seconds`: how long the list may be
    cached unless the server announces a change; None: until it does."""

    tools: tuple[HostedTool, ...]
    digests: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    ttl_seconds: float | None = None

    @property
    def digest(self) -> str:
        """Independent of the order of the tools."""
        return tool_list_digest(self.digests)


def tool_list_digest(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of a tool list, from tool name -> digest."""
    return hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()


class McpSession(Protocol):
    @property
    def protocol_version(self) -> str: ...
    @property
    def server_info(self) -> tuple[str, str] | None:
        """The server's name and version; None: it gives none."""
        ...

    async def list_tools(self) -> ToolList:
        """Raises SessionLost, ToolHostError."""
        ...

    async def ping(self) -> None:
        """Returns when the server answers, with whatever result or error. Raises SessionLost, and ToolHostError where no answer comes."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
        """Raises SessionLost; every other failure is a ToolFault in the outcome. Cancelling it cancels the call on the server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCallbacks:
    """Called by a session, in the event loop's thread. `on_connection_lost`: with the reason, None: the server went away."""

    on_tools_changed: Callable[[], None]
    on_connection_lost: Callable[[SessionLost | None], None]


SessionOpener = Callable[[SessionCallbacks], AbstractAsyncContextManager[McpSession]]
"""Opens a session; entered and left in the same task. Raises whatever the transport raises."""
