"""A server with everything that the conformance suite calls, behind the product's own door and mount.
python -m tests.conformance.fixture"""

import asyncio
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.caching import CacheHint
from mcp.types import EmptyResult, SetLevelRequestParams, SubscribeRequestParams, UnsubscribeRequestParams
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount as Under

from server.api.mcp.mount import Build, Mount
from server.http.auth import AuthMiddleware
from server.http.middleware import RequestMiddleware
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from tests.conformance import asking, contents

NAME = "everything"
METHODS = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read", "server/discover")


def everything() -> MCPServer:
    hints: Any = {method: CacheHint(ttl_ms=1000) for method in METHODS}
    rich = [contents.rich_tool()]
    server = MCPServer(NAME, version="1", instructions="For the conformance suite", tools=rich, cache_hints=hints, log_level="WARNING")
    contents.add_tools(server)
    contents.add_resources(server)
    contents.add_prompts(server)
    asking.add_requests(server)
    asking.add_results(server)
    asking.add_diagnostics(server)
    _add_old_methods(server)
    return server


def _add_old_methods(server: MCPServer) -> None:
    """Gone in 2026-07-28. The high-level server has no way to serve them, as no server of ours does."""

    async def done(context: Any, params: Any) -> EmptyResult:
        return EmptyResult()

    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    lowlevel.add_request_handler("logging/setLevel", SetLevelRequestParams, done)
    lowlevel.add_request_handler("resources/subscribe", SubscribeRequestParams, done)
    lowlevel.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, done)


def application(state: ServerState, builds: Mapping[str, Build]) -> Starlette:
    mount = Mount(state, builds)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        yield
        await mount.close()

    doors = [Middleware(RequestMiddleware, state=state), Middleware(AuthMiddleware, state=state)]
    return Starlette(routes=[Under("/mcp", app=mount)], middleware=doors, lifespan=lifespan)


def main() -> None:
    """Prints its port, then serves until it is terminated."""
    config = uvicorn.Config(application(ServerState(Settings()), {NAME: everything}), log_level="warning", timeout_graceful_shutdown=1)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        asyncio.run(uvicorn.Server(config).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
