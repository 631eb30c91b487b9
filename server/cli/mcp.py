"""`stoa mcp list | approve | login`: the operator's view of the MCP servers in the configuration."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from server.core.tool_host import HostedTool, ServerStatus, ToolHostError
from server.mcp.builtin import opener
from server.mcp.config.config import AuthorizationCode, Builtin, Http, ServerSpec
from server.mcp.connection.circuit_breaker import RetryPolicy
from server.mcp.connection.connection import Connection
from server.mcp.open import configured, data_directory
from server.mcp.sanitize import failure, plain
from server.mcp.session import SessionLost
from server.mcp.trust.pins import Pins, Unpinned
from server.runtime.settings import Settings

ONCE = RetryPolicy(waits=60.0, failures=1)  # somebody is looking


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    try:
        return asyncio.run(work())
    except (ToolHostError, SessionLost) as error:
        print(f"stoa: {error}", file=sys.stderr)
        return 1


async def show(settings: Settings, as_json: bool) -> int:
    """1 where one of the servers cannot be reached."""
    async with _connections(settings) as connections:
        found = await asyncio.gather(*map(_seen, connections))
    if as_json:
        print(json.dumps([asdict(status) for status in found], indent=2))
    else:
        print("\n".join(map(_lines, found)) if found else "no MCP servers: see --mcp-config, --mcp-files and --mcp-database of stoa serve")
    return 0 if all(status.state == "ready" for status in found) else 1


async def approve(settings: Settings, label: str) -> int:
    """Pins a server's tools as they are now, and says what is new about them."""
    spec = _named(settings, label)
    if isinstance(spec.target, Builtin):
        raise ToolHostError(f"{label} is one of this server's own: there is nothing to approve")
    pins = Pins(data_directory(settings))
    async with _open(Connection(spec, opener(spec, None), Unpinned(), ONCE)) as connection:
        catalogue = await connection.catalogue()
    known = pins.tools(label) or {}
    pins.pin(label, catalogue.digests)
    for tool in catalogue.tools:
        word = "new" if tool.name not in known else "same" if known[tool.name] == catalogue.digests[tool.name] else "changed"
        print(f"{word:8} {_line(tool)}")
    for name in sorted(known.keys() - catalogue.digests.keys()):
        print(f"{'gone':8} {name}")
    return 0


async def login(settings: Settings, label: str) -> int:
    """OAuth's consent: somebody opens a page, agrees, and the browser comes back to this machine."""
    spec = _named(settings, label)
    if not isinstance(spec.target, Http) or not isinstance(spec.target.oauth, AuthorizationCode):
        raise ToolHostError(f'{label} asks nobody for consent: only servers with a "url" and an "oauth" that is no client_credentials do')
    from server.mcp.transport.connect import Hooks, connect
    from server.mcp.transport.oauth_callback import authorize

    try:
        async with connect(spec.target, Hooks(authorize=authorize(spec.target.oauth.redirect_port))) as client:
            await client.list_tools()
    except Exception as error:  # of OAuth, HTTP and MCP, in groups
        raise ToolHostError(plain(failure(error), spec.secrets)) from error
    print(f"{label} may be used now")
    return 0


@asynccontextmanager
async def _connections(settings: Settings) -> AsyncGenerator[list[Connection]]:
    pins, own = Pins(data_directory(settings)), Unpinned()
    specs = configured(settings)
    made = [Connection(spec, opener(spec, None), own if isinstance(spec.target, Builtin) else pins, ONCE) for spec in specs]
    try:
        yield made
    finally:
        await asyncio.gather(*(connection.close() for connection in made))


@asynccontextmanager
async def _open(connection: Connection) -> AsyncGenerator[Connection]:
    try:
        yield connection
    finally:
        await connection.close()


async def _seen(connection: Connection) -> ServerStatus:
    with suppress(ToolHostError):  # its status says why
        await connection.tools()
    return connection.status


def _named(settings: Settings, label: str) -> ServerSpec:
    specs = configured(settings)
    if (found := next((spec for spec in specs if spec.label == label), None)) is None:
        raise ToolHostError(f"there is no MCP server {label!r}; configured: {', '.join(spec.label for spec in specs) or 'none'}")
    return found


def _lines(status: ServerStatus) -> str:
    about = " ".join(filter(None, (status.server_name, status.server_version, status.protocol_version)))
    why = f": {status.last_error}" if status.last_error and status.state != "ready" else ""
    head = f"{status.label} ({status.kind}, {status.state}{why}) {about}".rstrip()
    return "\n".join([head, *(f"  {_line(tool)}" for tool in status.tools), *(f"  note: {note}" for note in status.notes)])


def _line(tool: HostedTool) -> str:
    marks = [word for word, true in (("changed", tool.changed), ("read-only", tool.read_only), ("allowed", tool.allowed)) if true]
    shown = f" [{', '.join(marks)}]" if marks else ""
    return f"{tool.name}{shown}: {plain(tool.description)[:100]}"
