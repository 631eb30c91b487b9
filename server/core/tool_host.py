"""The tools of MCP servers, as the rest of the server sees them. Imports neither `mcp` nor an implementation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

ConnectionState = Literal[
    "connecting", "ready", "waiting", "failed", "stopped"
]  # waiting: to be started again; failed: the circuit is open
ServerKind = Literal["builtin", "stdio", "http"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedTool:
    """The hints are the server's own words: believed only of servers that the operator trusts (`trusted`), else the worst is
    assumed of each."""

    name: str
    title: str
    description: str
    input_schema: Mapping[str, Any]
    output_schema: Mapping[str, Any] | None = None
    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True
    annotations: Mapping[str, Any] | None = None  # as the server sent them
    changed: bool = False  # not what was pinned: kept from the model until the operator accepts it
    allowed: bool = False  # the operator lets it run without approval, even in a turn that has read what may not be trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    label: str
    kind: ServerKind
    state: ConnectionState
    protocol_version: str | None = None
    server_name: str | None = None
    server_version: str | None = None
    tools: tuple[HostedTool, ...] = ()
    digest: str | None = None  # of the tool list
    pinned: str | None = None
    last_error: str | None = None
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])  # tools that it has, and why they are not among `tools`
    notes: tuple[str, ...] = ()  # what the operator should know of the tool list
    since: float = 0.0  # Unix time of the present state
    restarts: int = 0
    calls: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFault:
    """Why there is no output. execution: the tool ran and says so, which the model should read; the others did not run, or did not
    come back."""

    kind: Literal["execution", "protocol", "http", "timeout", "unavailable"]
    message: str
    code: int | None = None  # of JSON-RPC or HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """`text`: what the model gets to read, capped; with a fault, the fault in words."""

    text: str
    fault: ToolFault | None = None
    structured: Any = None
    truncated: bool = False
    seconds: float = 0.0


class ToolHostError(Exception):
    """The message is meant for the caller of the API."""


class UnknownServer(ToolHostError): ...


class ServerUnavailable(ToolHostError): ...


class ToolHost(Protocol):
    """`owner`: whose request it is (hex SHA-256 of the key, or ""); the built-in servers see what belongs to it. Safe for many
    callers at once on one event loop; cancelling a call cancels it on the server."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    async def start(self) -> None:
        """Begins to connect, and returns: a server that is down keeps nobody waiting."""
        ...

    async def tools(self, label: str) -> tuple[HostedTool, ...]:
        """In the server's order. Waits a little for a server that is being connected. Raises UnknownServer, ServerUnavailable."""
        ...

    async def call(self, label: str, name: str, arguments: Mapping[str, Any], *, owner: str) -> ToolOutcome:
        """Raises UnknownServer; everything else that goes wrong is a Fault."""
        ...

    def status(self) -> list[ServerStatus]: ...

    async def close(self) -> None: ...
