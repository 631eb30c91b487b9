"""The configuration of one MCP server, as a validated value. Imports no `mcp`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdio:
    """A local process, reached over its standard input and output. `env` is added to the few variables that it inherits (PATH ...)."""

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    cwd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationCode:
    """OAuth's authorization code grant: a user consents once, in a browser. Without a client_id the client is identified by the
    metadata document at `metadata_url` (https), or registers dynamically. `hosts`: authorization servers that may have a private
    address or no TLS."""

    client_id: str | None = None
    client_secret: str | None = field(default=None, repr=False)
    metadata_url: str | None = None
    redirect_port: int = 33418  # on 127.0.0.1
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCredentials:
    """OAuth's client credentials grant, without a user. `issuer`: the only authorization server that may receive the secret."""

    client_id: str
    client_secret: str = field(repr=False)
    issuer: str
    scope: str | None = None
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """A server reached over Streamable HTTP, or over the HTTP with server-sent events of MCP 2024-11-05."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    oauth: AuthorizationCode | ClientCredentials | None = None
    transport: Literal["streamable", "sse"] = "streamable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtin:
    """A built-in server, run in this process. `sources`: folders (files), or databases as [NAME=]URL (database)."""

    kind: Literal["files", "database", "knowledge"]
    sources: tuple[str, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """The limits of one tool call."""

    timeout: float  # seconds, whatever progress the tool reports
    max_output: int  # bytes of UTF-8 of the text; the middle of a longer one is left out


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    label: str  # [A-Za-z0-9_-]{1,40}
    target: Stdio | Http | Builtin
    timeout: float = 30.0  # seconds for one call, whatever progress it reports
    max_output: int = 32 * 1024  # bytes of one call's text, as in CallLimits
    tool_limits: Mapping[str, CallLimits] = field(default_factory=dict[str, CallLimits])  # tool name -> its own limits
    trusted: bool = False  # the annotations of its tools are believed
    allow: tuple[str, ...] = ()  # tools that run without approval; "*": all of them
    tools: tuple[str, ...] | None = None  # only these are offered; None: all
    exclude: tuple[str, ...] = ()  # these are not offered
    secrets: tuple[str, ...] = field(default=(), repr=False)  # redacted from all messages and logs

    def limits_of(self, tool: str) -> CallLimits:
        return self.tool_limits.get(tool) or CallLimits(timeout=self.timeout, max_output=self.max_output)
