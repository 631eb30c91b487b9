"""One connection to an MCP server: a process on stdio or Streamable HTTP, whichever protocol revision it speaks. Imports `mcp`,
which takes a second: import this where a connection is opened, not at the top of a module."""

import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client._transport import Transport  # the SDK's only name for what both of its transports are
from mcp.client.session import ElicitationFnT, MessageHandlerFnT
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from server.mcp.config.config import Http, Stdio
from server.mcp.transport.bounded_lines import ENCODING, bounded
from server.mcp.transport.egress import Guarded, capped
from server.mcp.transport.lenient import completing
from server.mcp.transport.oauth import Authorize, nobody, provider

TIMEOUT = httpx2.Timeout(30.0, read=300.0)  # seconds; a call has its own limit, this is for connections that died unnoticed


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """What a connection asks of its owner. Without `elicit` the server is told that nobody can be asked."""

    message: MessageHandlerFnT | None = None  # notifications, such as a changed list of tools
    elicit: ElicitationFnT | None = None
    authorize: Authorize = nobody
    tokens: Path | None = None  # folder of OAuth tokens (None: the data directory's)
    overlong: Callable[[], None] = lambda: None  # a process's line was too long: no more is read, and the connection is to be left
    errors: TextIO | None = None  # a file of the operating system, for a process's standard error (None: ours)


@asynccontextmanager
async def connect(target: Stdio | Http, hooks: Hooks | None = None) -> AsyncGenerator[Client]:
    """To be entered and left in the same task; calls may come from any, many at once. The SDK drops tools whose x-mcp-header is
    invalid and follows no $ref. Raises (often within an ExceptionGroup) OSError, httpx2.HTTPError, MCPError and OAuthFlowError."""
    hooks = hooks or Hooks()
    async with AsyncExitStack() as stack:
        transport = _stdio(target, hooks) if isinstance(target, Stdio) else await _http(target, hooks, stack)
        client = Client(
            completing(transport),
            client_info=Implementation(name="stoa", version="1"),
            message_handler=hooks.message,
            elicitation_callback=hooks.elicit,
        )
        with bounded(hooks.overlong):
            await stack.enter_async_context(client)
        yield client


def _stdio(target: Stdio, hooks: Hooks) -> Transport:
    parameters = StdioServerParameters(
        command=target.command, args=list(target.args), env=dict(target.env), cwd=target.cwd, encoding=ENCODING
    )
    return stdio_client(parameters, errlog=hooks.errors or sys.stderr)


async def _http(target: Http, hooks: Hooks, stack: AsyncExitStack) -> Transport:
    """Redirects are followed within the server's origin only. Where OAuth is in play, the server names URLs that we fetch."""
    oauth = target.oauth
    client = httpx2.AsyncClient(
        headers=dict(target.headers),
        timeout=TIMEOUT,
        auth=provider(target.url, oauth, hooks.authorize, hooks.tokens) if oauth else None,
        transport=Guarded(target.url, frozenset(oauth.hosts)) if oauth else None,
        event_hooks={"response": [capped]},
    )
    return streamable_http_client(target.url, http_client=await stack.enter_async_context(client))
