"""Opens sessions with MCP servers, and builds the built-in servers, which run in this process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from server.core.tool_host import ToolHostError
from server.mcp.config.server_spec import Builtin, ServerSpec
from server.mcp.host import OWNER_META_KEY
from server.mcp.session import McpSession, SessionCallbacks, SessionOpener
from server.runtime.knowledge_base import KnowledgeBase

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context


def session_opener(spec: ServerSpec, knowledge_base: KnowledgeBase | None) -> SessionOpener:
    """Opens sessions with the server of `spec`. Imports `mcp` on first use and in a thread: the import takes a second."""
    target = spec.target

    @asynccontextmanager
    async def open_session(callbacks: SessionCallbacks) -> AsyncGenerator[McpSession]:
        await asyncio.to_thread(import_module, "server.mcp.transport.open_session")
        from server.mcp.transport import open_session

        if isinstance(target, Builtin):
            server = await asyncio.to_thread(build_server, target, knowledge_base, _owner)
            async with open_session.open_in_process_session(spec, server) as session:
                yield session
        else:
            async with open_session.open_remote_session(spec, target, callbacks) as session:
                yield session

    return open_session


def build_server(target: Builtin, knowledge_base: KnowledgeBase | None, owner_of: "Callable[[Context[Any]], str]") -> "MCPServer[Any]":
    """`owner_of`: reads from a request's context whose documents the knowledge base server may search. Raises ToolHostError."""
    match target.kind:
        case "files":
            from mcp_servers import files

            return files.server([files.Root(Path(folder), write=False) for folder in target.sources])
        case "database":
            from mcp_servers import database

            return database.server([database.parse_source(source) for source in target.sources])
        case "knowledge":
            from mcp_servers import knowledge

            if knowledge_base is None:
                raise ToolHostError("this server has no knowledge base: start it with --embedding-model NAME")
            return knowledge.server(knowledge_base, owner_of)


def _owner(context: "Context[Any]") -> str:
    """The owner that McpHost.call put into _meta; trustworthy, as this server is reachable from this process only."""
    meta: Any = context.request_context.meta or {}
    return str(meta.get(OWNER_META_KEY, ""))
