"""A live connection, as the rest of the host sees it: without the types of `mcp`, which takes a second to import."""

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from server.core.tool_host import HostedTool, ToolOutcome


class SessionLost(Exception):
    """The server went away; what it was doing is not known. The message is meant for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolList:
    """`left_out`: tools that are not offered, and why. `notes`: for the operator: that, and names in the configuration that are no
    tools. `digests`: of
    each tool as its server described it. `seconds`: how long this holds unless the server says that it has changed; None: until
    then."""

    tools: tuple[HostedTool, ...]
    digests: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    seconds: float | None = None

    @property
    def digest(self) -> str:
        """In whichever order."""
        return digest_of(self.digests)


def digest_of(digests: Mapping[str, str]) -> str:
    """Hex SHA-256 of a list of tools, by the digest of each."""
    return hashlib.sha256(json.dumps(dict(digests), sort_keys=True).encode()).hexdigest()


class McpSession(Protocol):
    @property
    def protocol_version(self) -> str: ...
    @property
    def server(self) -> tuple[str, str] | None:
        """Its name and version, where it tells."""
        ...

    @property
    def last_words(self) -> str:
        """What its process has said on standard error lately."""
        ...

    async def catalogue(self) -> ToolList:
        """Raises LinkLost, HostError."""
        ...

    async def ping(self) -> None:
        """Returns when the server answers, whatever it says. Raises LinkLost, and HostError where there is no answer of its own."""
        ...

    async def call(self, name: str, arguments: Mapping[str, Any], meta: Mapping[str, Any] | None) -> ToolOutcome:
        """Raises LinkLost; everything else that goes wrong is a Fault. Cancelling it cancels the call on the server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionCallbacks:
    """What a link tells its owner, from the event loop's thread."""

    changed: Callable[[], None]  # the tools are others now
    lost: Callable[[], None]  # the server is gone


OpenSession = Callable[[SessionCallbacks], AbstractAsyncContextManager[McpSession]]
"""To be entered and left in the same task. Raises whatever the transport does."""
