"""Connects to an MCP server over stdio, Streamable HTTP or its predecessor, in any protocol revision that the SDK speaks. Imports `mcp`,
which takes a second: import this module where a connection is opened, not at the top of a module."""

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import httpx2
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client._transport import Transport  # the type of both transports; the SDK has no public name for it
from mcp.client.session import ElicitationFnT, MessageHandlerFnT
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Implementation

from server.mcp.config.server_spec import Http, Stdio
from server.mcp.transport.egress import GuardedTransport, limit_response_size
from server.mcp.transport.kill import killed_when_hanging
from server.mcp.transport.oauth import Authorize, oauth_provider, refuse_authorization
from server.mcp.transport.server_guard import ServerGuard
from server.mcp.transport.stdio_lines import ENCODING, guarded_lines
from server.mcp.transport.tolerant_streams import tolerant_streams

TIMEOUT = httpx2.Timeout(30.0, connect=5.0, read=300.0)  # seconds; detects dead connections, as calls have timeouts of their own


@dataclass(frozen=True, kw_only=True)
class Hooks:
    """Callbacks and resources of a connection. Without `on_elicitation` the client does not declare that capability."""

    on_message: MessageHandlerFnT | None = None  # notifications, such as tools/list_changed
    on_elicitation: ElicitationFnT | None = None
    authorize: Authorize = refuse_authorization
    token_folder: Path | None = None  # None: mcp-tokens in the data directory
    guard: ServerGuard = field(default_factory=lambda: ServerGuard("server"))
    stderr: TextIO | None = None  # a file with a descriptor, for the process's standard error (None: our own)


@asynccontextmanager
async def connect(target: Stdio | Http, hooks: Hooks | None = None) -> AsyncGenerator[Client]:
    """Entered and left in the same task; other tasks may call the client concurrently. Results of tools/list and tools/call are
    envelopes (see raw_results). The SDK drops tools whose x-mcp-header is invalid and follows no $ref. Raises (often within an
    ExceptionGroup) OSError, httpx2.HTTPError, MCPError and OAuthFlowError."""
    hooks = hooks or Hooks()
    async with AsyncExitStack() as stack:
        transport = _stdio(target, hooks) if isinstance(target, Stdio) else await _http(target, hooks, stack)
        client = Client(
            tolerant_streams(transport, hooks.guard),
            client_info=Implementation(name="stoa", version="1"),
            message_handler=hooks.on_message,
            elicitation_callback=hooks.on_elicitation,
        )
        with guarded_lines(hooks.guard):
            await stack.enter_async_context(client)
        yield client


def _stdio(target: Stdio, hooks: Hooks) -> Transport:
    parameters = StdioServerParameters(
        command=target.command, args=list(target.args), env=dict(target.env), cwd=target.cwd, encoding=ENCODING
    )
    return killed_when_hanging(stdio_client(parameters, errlog=hooks.stderr or sys.stderr))


async def _http(target: Http, hooks: Hooks, stack: AsyncExitStack) -> Transport:
    """Redirects are followed within the server's origin only. With OAuth the server names further URLs to fetch: these are guarded."""
    oauth = target.oauth
    client = httpx2.AsyncClient(
        headers={"accept-encoding": "identity", **target.headers},  # a compressed answer may be a thousand times as large as it looks
        timeout=TIMEOUT,
        auth=oauth_provider(target.url, oauth, hooks.authorize, hooks.token_folder) if oauth else None,
        transport=GuardedTransport(target.url, frozenset(oauth.hosts)) if oauth else None,
        event_hooks={"response": [limit_response_size]},
    )
    if target.transport == "sse":  # the SDK's transport of before 2025-03-26 enters the client itself
        return sse_client(target.url, httpx_client_factory=lambda headers=None, timeout=None, auth=None: client)
    return streamable_http_client(target.url, http_client=await stack.enter_async_context(client))
