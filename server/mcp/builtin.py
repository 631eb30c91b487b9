"""Our own MCP servers, in this process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.core.tool_host import ToolHostError
from server.mcp.config.config import Builtin, ServerSpec
from server.mcp.host import OWNER
from server.mcp.session import McpSession, OpenSession, SessionCallbacks
from server.runtime.knowledge_base import KnowledgeBase

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context


def opener(spec: ServerSpec, knowledge: KnowledgeBase | None) -> OpenSession:
    """Whichever way `spec` is reached. `mcp` is imported when it is, and not on the event loop: that takes a second."""
    target = spec.target

    @asynccontextmanager
    async def opened(notices: SessionCallbacks) -> AsyncGenerator[McpSession]:
        await asyncio.to_thread(import_module, "server.mcp.transport.client")
        from server.mcp.transport import client

        if isinstance(target, Builtin):
            async with client.inside(spec, await asyncio.to_thread(build, target, knowledge, _owner)) as link:
                yield link
        else:
            async with client.remote(spec, target, notices) as link:
                yield link

    return opened


def build(target: Builtin, knowledge: KnowledgeBase | None, owner_of: "Callable[[Context[Any]], str]") -> "MCPServer[Any]":
    """`owner_of`: whose the request is that the server of the knowledge base answers."""
    match target.kind:
        case "files":
            from mcp_servers import files

            return files.server([files.Root(Path(folder), write=False) for folder in target.sources])
        case "database":
            from mcp_servers import database

            return database.server([database.parse_source(source) for source in target.sources])
        case "knowledge":
            from mcp_servers import knowledge as ours

            if knowledge is None:
                raise ToolHostError("this server has no knowledge base: start it with --embedding-model NAME")
            return ours.server(knowledge, owner_of)


def _owner(context: "Context[Any]") -> str:
    """Nobody else can write this: the server is reached through this process alone."""
    meta: Any = context.request_context.meta or {}
    return str(meta.get(OWNER, ""))
