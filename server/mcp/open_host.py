"""Builds the tool host from the settings: the MCP servers that the operator configured, and the built-in ones."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from server.archive.api import Pins
from server.core.tool_host import ToolHost, ToolHostError
from server.mcp.builtin import session_opener
from server.mcp.config.read import read_config
from server.mcp.config.server_spec import Builtin, Http, ServerSpec
from server.mcp.connection.connection import Connection, PinChecker
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.host import McpHost
from server.mcp.trust.pins import NoPins, ToolPins
from server.mcp.trust.shared_pins import SharedPins
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from server.weights.paths import default_database

KNOWLEDGE_LABEL = "knowledge"
DEMAND_DELAY = 1.0  # seconds: see RetryPolicy


def own_servers(settings: Settings) -> dict[str, Builtin]:
    """The built-in servers by label: those that are also served to other MCP clients at /mcp/LABEL."""
    own = {spec.label: spec.target for spec in _own(settings) if isinstance(spec.target, Builtin)}
    return own if settings.embedding_model == "none" else {KNOWLEDGE_LABEL: Builtin(kind="knowledge"), **own}


def open_host(settings: Settings, knowledge_base: KnowledgeBase | None, archive: Pins | None = None) -> ToolHost:
    """`archive`: keeps the pins that several servers share. Neither connects nor imports `mcp`. Raises ToolHostError: the configuration is
    invalid."""
    knowledge = [_builtin(KNOWLEDGE_LABEL, Builtin(kind="knowledge"))] if knowledge_base is not None else []
    specs = [*configured_servers(settings), *knowledge]
    connections = make_connections(specs, tool_pins(settings, archive), RetryPolicy(), knowledge_base)
    return McpHost(connections, lazy=frozenset({KNOWLEDGE_LABEL}))


def make_connections(
    specs: list[ServerSpec], pins: PinChecker, retry_policy: RetryPolicy, knowledge_base: KnowledgeBase | None = None
) -> list[Connection]:
    """One connection for each server, not yet opened. The tools of all but the built-in servers are pinned."""
    no_pins = NoPins()

    def checker(spec: ServerSpec) -> PinChecker:
        return no_pins if isinstance(spec.target, Builtin) else pins

    def policy(spec: ServerSpec) -> RetryPolicy:
        """To connect over HTTP costs little: a call need not wait for the next attempt, so that a restarted server is back at once."""
        return replace(retry_policy, demand_delay=DEMAND_DELAY) if isinstance(spec.target, Http) else retry_policy

    return [Connection(spec, session_opener(spec, knowledge_base), checker(spec), policy(spec)) for spec in specs]


def tool_pins(settings: Settings, archive: Pins | None) -> ToolPins | SharedPins:
    """Those of this machine, or those of all servers that share the database."""
    own = ToolPins(data_directory(settings))
    return SharedPins(archive, own) if archive is not None and settings.shares_database else own


def configured_servers(settings: Settings) -> list[ServerSpec]:
    """The servers that the settings name, the built-in ones first. Raises ToolHostError."""
    own = list(_own(settings))
    others = read_config(settings.mcp_config) if settings.mcp_config is not None else []
    reserved = {spec.label for spec in own} | {KNOWLEDGE_LABEL}
    if (duplicate := next((spec.label for spec in others if spec.label in reserved), None)) is not None:
        raise ToolHostError(f"{settings.mcp_config}: mcpServers.{duplicate}: one of this server's own has this name; choose another")
    return [*own, *others]


def data_directory(settings: Settings) -> Path:
    """The folder of the database file; where the database is no file, that of the default database."""
    url = settings.database_url
    if url is None:
        return default_database().parent
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Path(url).absolute().parent
    return Path(rest.removeprefix("/").partition("?")[0]).absolute().parent if scheme.startswith("sqlite") else default_database().parent


def _own(settings: Settings) -> Iterator[ServerSpec]:
    if settings.mcp_files:
        yield _builtin("files", Builtin(kind="files", sources=settings.mcp_files))
    if settings.mcp_database:
        yield _builtin("database", Builtin(kind="database", sources=settings.mcp_database))


def _builtin(label: str, target: Builtin) -> ServerSpec:
    return ServerSpec(label=label, target=target, trusted=True, secrets=target.sources if target.kind == "database" else ())
