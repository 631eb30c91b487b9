"""`stoa mcp list | approve | login`: administers the configured MCP servers."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import asdict
from typing import Any

from retrieval.api import KnowledgeError
from server.cli.errors import print_error
from server.core.tool_host import HostedTool, ServerStatus, ToolHostError
from server.mcp.builtin import session_opener
from server.mcp.config.server_spec import AuthorizationCode, Builtin, Http, ServerSpec
from server.mcp.connection.connection import Connection
from server.mcp.connection.retry_policy import RetryPolicy
from server.mcp.open_host import configured_servers, make_connections, tool_pins
from server.mcp.sanitize import describe_error, sanitize
from server.mcp.session import SessionLost
from server.mcp.trust.pins import NoPins, ToolPins
from server.mcp.trust.shared_pins import SharedPins
from server.runtime.knowledge_base import open_database
from server.runtime.settings import Settings

SINGLE_ATTEMPT = RetryPolicy(connect_wait=60.0, failure_threshold=1)  # the first error is reported: no retry


def run_admin(action: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Returns the exit status."""
    try:
        return asyncio.run(action())
    except (ToolHostError, SessionLost) as error:
        print_error(error)
        return 1


async def list_servers(settings: Settings, as_json: bool) -> int:
    """Returns the exit status: 1 if a server cannot be reached."""
    async with _connections(settings) as connections:
        statuses = await asyncio.gather(*map(_connect, connections))
    if as_json:
        print(json.dumps([asdict(status) for status in statuses], indent=2))
    else:
        print(
            "\n".join(map(_status_text, statuses))
            if statuses
            else "no MCP servers: see --mcp-config, --mcp-files and --mcp-database of stoa serve"
        )
    return 0 if all(status.state == "ready" for status in statuses) else 1


async def approve_tools(settings: Settings, label: str) -> int:
    """Pins the server's current tools, and prints how they differ from those pinned before."""
    spec = _find_spec(settings, label)
    if isinstance(spec.target, Builtin):
        raise ToolHostError(f"{label} is one of this server's own: there is nothing to approve")
    async with _closing(Connection(spec, session_opener(spec, None), NoPins(), SINGLE_ATTEMPT)) as connection:
        tool_list = await connection.fetch_tool_list()
    with _pins(settings) as pins:
        pinned = pins.pinned_tools(label) or {}
        pins.pin(label, tool_list.digests)
    for tool in tool_list.tools:
        change = "new" if tool.name not in pinned else "same" if pinned[tool.name] == tool_list.digests[tool.name] else "changed"
        print(f"{change:8} {_tool_text(tool)}")
    for name in sorted(pinned.keys() - tool_list.digests.keys()):
        print(f"{'gone':8} {name}")
    return 0


async def login(settings: Settings, label: str) -> int:
    """OAuth authorization by the user in a browser on this machine; the tokens are stored."""
    spec = _find_spec(settings, label)
    if not isinstance(spec.target, Http) or not isinstance(spec.target.oauth, AuthorizationCode):
        raise ToolHostError(f'{label} asks nobody for consent: only servers with a "url" and an "oauth" that is no client_credentials do')
    from server.mcp.transport.connect import Hooks, connect
    from server.mcp.transport.oauth_callback import browser_authorization

    try:
        async with connect(spec.target, Hooks(authorize=browser_authorization(spec.target.oauth.redirect_port))) as client:
            await client.list_tools()
    except Exception as error:  # of OAuth, HTTP and MCP, in groups
        raise ToolHostError(sanitize(describe_error(error), spec.secrets)) from error
    print(f"{label} may be used now")
    return 0


@asynccontextmanager
async def _connections(settings: Settings) -> AsyncGenerator[list[Connection]]:
    with _pins(settings) as pins:
        connections = make_connections(configured_servers(settings), pins, SINGLE_ATTEMPT)
        try:
            yield connections
        finally:
            await asyncio.gather(*(connection.close() for connection in connections))


@contextmanager
def _pins(settings: Settings) -> Generator[ToolPins | SharedPins]:
    """Raises ToolHostError."""
    if not settings.shares_database:
        yield tool_pins(settings, None)
        return
    from server.archive.database import open_archive

    try:
        store = open_database(settings)
    except KnowledgeError as error:
        raise ToolHostError(str(error)) from error
    with closing(store):
        yield tool_pins(settings, open_archive(store.transactions))


@asynccontextmanager
async def _closing(connection: Connection) -> AsyncGenerator[Connection]:
    try:
        yield connection
    finally:
        await connection.close()


async def _connect(connection: Connection) -> ServerStatus:
    with suppress(ToolHostError):  # the status has the reason
        await connection.tools()
    return connection.status


def _find_spec(settings: Settings, label: str) -> ServerSpec:
    specs = configured_servers(settings)
    if (spec := next((spec for spec in specs if spec.label == label), None)) is None:
        raise ToolHostError(f"there is no MCP server {label!r}; configured: {', '.join(spec.label for spec in specs) or 'none'}")
    return spec


def _status_text(status: ServerStatus) -> str:
    info = " ".join(filter(None, (status.server_name, status.server_version, status.protocol_version)))
    reason = f": {status.last_error}" if status.last_error and status.state != "ready" else ""
    head = f"{status.label} ({status.kind}, {status.state}{reason}) {info}".rstrip()
    return "\n".join([head, *(f"  {_tool_text(tool)}" for tool in status.tools), *(f"  note: {note}" for note in status.notes)])


def _tool_text(tool: HostedTool) -> str:
    flags = (("changed", tool.changed), ("read-only", tool.read_only), ("allowed", tool.allowed_by_operator))
    marks = [mark for mark, applies in flags if applies]
    suffix = f" [{', '.join(marks)}]" if marks else ""
    return f"{tool.name}{suffix}: {sanitize(tool.description)[:100]}"
