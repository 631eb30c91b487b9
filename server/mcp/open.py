"""The tools of MCP servers: those that the operator configured, and our own."""

from collections.abc import Iterator
from pathlib import Path

from server.core.tool_host import ToolHost, ToolHostError
from server.mcp.builtin import opener
from server.mcp.config.config import Builtin, ServerSpec
from server.mcp.config.read import read_config
from server.mcp.connection.circuit_breaker import RetryPolicy
from server.mcp.connection.connection import Connection
from server.mcp.host import Host
from server.mcp.trust.pins import Pins, Unpinned
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from server.weights.cache import default_database

KNOWLEDGE = "knowledge"


def own_servers(settings: Settings) -> dict[str, Builtin]:
    """Our own MCP servers, by name: those that others may call at /mcp/NAME, too."""
    own = {spec.label: spec.target for spec in _own(settings) if isinstance(spec.target, Builtin)}
    return own if settings.embedding_model == "none" else {KNOWLEDGE: Builtin(kind="knowledge"), **own}


def open_host(settings: Settings, knowledge: KnowledgeBase | None) -> ToolHost:
    """Connects to nothing yet, and imports no `mcp`. Raises HostError: the configuration is wrong."""
    specs = [*configured(settings), *([_builtin(KNOWLEDGE, Builtin(kind="knowledge"))] if knowledge is not None else [])]
    pins, own = Pins(data_directory(settings)), Unpinned()
    judged = [(spec, own if isinstance(spec.target, Builtin) else pins) for spec in specs]
    connections = [Connection(spec, opener(spec, knowledge), judge, RetryPolicy()) for spec, judge in judged]
    return Host(connections, lazy=frozenset({KNOWLEDGE}))


def configured(settings: Settings) -> list[ServerSpec]:
    """What the settings name. Raises HostError."""
    own = list(_own(settings))
    others = read_config(settings.mcp_config) if settings.mcp_config is not None else []
    taken = {spec.label for spec in own} | {KNOWLEDGE}
    if (twice := next((spec.label for spec in others if spec.label in taken), None)) is not None:
        raise ToolHostError(f"{settings.mcp_config}: mcpServers.{twice}: one of this server's own has this name; choose another")
    return [*own, *others]


def data_directory(settings: Settings) -> Path:
    """Where the database lies; for one that is elsewhere, where ours would."""
    where = settings.database_url
    if where is None:
        return default_database().parent
    scheme, separator, rest = where.partition("://")
    if not separator:
        return Path(where).absolute().parent
    return Path(rest.removeprefix("/").partition("?")[0]).absolute().parent if scheme.startswith("sqlite") else default_database().parent


def _own(settings: Settings) -> Iterator[ServerSpec]:
    if settings.mcp_files:
        yield _builtin("files", Builtin(kind="files", sources=settings.mcp_files))
    if settings.mcp_database:
        yield _builtin("database", Builtin(kind="database", sources=settings.mcp_database))


def _builtin(label: str, target: Builtin) -> ServerSpec:
    return ServerSpec(label=label, target=target, trusted=True, secrets=target.sources if target.kind == "database" else ())
