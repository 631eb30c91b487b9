"""The tools of MCP servers, as the rest of the server sees them. Imports neither `mcp` nor an implementation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

# waiting: for the next attempt to connect; failed: the circuit breaker is open
ConnectionState = Literal["connecting", "ready", "waiting", "failed", "stopped"]
ServerKind = Literal["builtin", "stdio", "http"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostedTool:
    """A tool of an MCP server. Its hints (read_only, ...) are believed only of servers that the operator trusts; of others the worst is
    assumed."""

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
    changed: bool = False  # since it was approved: withheld from the model until approved again
    allowed_by_operator: bool = False  # it runs without approval, even after untrusted text


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
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])  # reasons by tool name, for those not among `tools`
    notes: tuple[str, ...] = ()  # warnings about the tool list, for the operator
    since: float = 0.0  # Unix time at which `state` began
    restarts: int = 0
    calls: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolFault:
    """Why a call has no output. `kind` "execution": the tool ran and reports an error, meant for the model; all others: it did not run, or
    did not return."""

    kind: Literal["execution", "protocol", "http", "timeout", "unavailable"]
    message: str
    code: int | None = None  # of JSON-RPC or HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOutcome:
    """`text`: what the model gets to read, capped; with a fault, the fault in words. `images`: files that it gets to see, if it can."""

    text: str
    images: tuple[bytes, ...] = field(default=(), repr=False)
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
