"""The MCP servers that the operator has configured, as values. Imports no `mcp`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """A command of the operator's. `env` is added to the few variables that such servers get (PATH, HOME ...)."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """OAuth's authorization code grant: somebody agrees in a browser, once. Without a client_id: by the document at
    `metadata_url` (https), or registered on the way. `hosts`: of authorization servers that may be private or without TLS."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    metadata_url: str | None = None
    redirect_port: int = 33418  # of 127.0.0.1, where the browser comes back to
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """OAuth without anybody: the server is who it is. `issuer`: the one authorization server that may see the secret."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str
    scope: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    oauth: AuthorizationCode | ClientCredentials | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """One of our own servers, run in this process. `sources`: folders, or databases as [NAME=]URL."""

    kind: Literal["files", "database", "knowledge"]
    sources: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """Of one call: seconds, whatever progress it reports, and bytes of its text, as of a ServerSpec."""

    timeout: float
    max_output: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    label: str  # [A-Za-z0-9_-]{1,40}
    target: Stdio | Http | Builtin
    timeout: float = 30.0  # seconds that one call may take, whatever progress it reports
    max_output: int = 32 * 1024  # bytes of one call's text; the middle of a longer one is left out
    tool_limits: Mapping[str, CallLimits] = field(default_factory=dict[str, CallLimits])  # of the tools that have their own, by name
    trusted: bool = False  # what its tools say of themselves (annotations) is believed
    allow: tuple[str, ...] = ()  # tools that run without approval; "*": all
    tools: tuple[str, ...] | None = None  # only these are offered; None: all
    secrets: tuple[str, ...] = field(default=(), repr=False)  # what no message of ours may show

    def limits_of(self, tool: str) -> CallLimits:
        return self.tool_limits.get(tool) or CallLimits(timeout=self.timeout, max_output=self.max_output)
