"""A server, put together once and in sight: model, engine and text; routes around them; what happens at start and end."""

import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.api import Engine
from retrieval.store.api import Store
from server.api.mcp.mount import HEADERS as MCP_HEADERS
from server.api.mcp.mount import ROUTE, Mount, owner_of
from server.api.routes import endpoints
from server.archive.api import Archive
from server.core.errors import ApiError
from server.core.request import Limits
from server.core.version import our_version
from server.http import error_body
from server.http.endpoint import Endpoint
from server.http.middleware import Door, Observe
from server.mcp.builtin import build as build_server
from server.mcp.config.config import Builtin
from server.mcp.open import open_host, own_servers
from server.runtime.knowledge_base import Knowledge, Watch, open_database, open_knowledge
from server.runtime.runtime import Served
from server.runtime.settings import Settings
from server.runtime.state import House
from server.weights.cache import Progress

if TYPE_CHECKING:
    from mcp.server import MCPServer

T = TypeVar("T")
ANTHROPIC_HEADERS = ("x-api-key", "anthropic-version", "anthropic-beta")
Load = Callable[[Settings, Watch | None], Served]


def load(settings: Settings, watch: Watch | None = None) -> Served:
    """Fetches the models if need be, starts the engine and opens the knowledge base, side by side. Takes seconds, and
    imports what is heavy. `watch` is told how long each stage of a search takes. Tool servers are not connected yet."""
    from server.text.tokenizer import load_text
    from server.weights.cache import bar
    from server.weights.pull import pull

    with bar() as progress:
        opening = _beside(lambda: _database(settings, progress, watch))
        directory = pull(settings.model, progress=progress)
        engine = _engine(settings, directory)
        text = load_text(directory)
        database, archive, knowledge = opening.result()
        return Served(
            names=(settings.name,),
            engine=engine,
            text=text,
            created=int(time.time()),
            knowledge=knowledge,
            archive=archive,
            host=open_host(settings, knowledge),
            database=database,
            limits=_limits(settings),
        )


def _database(settings: Settings, progress: Progress, watch: Watch | None) -> tuple[Store, Archive, Knowledge | None]:
    from server.archive.database import open_archive

    database = open_database(settings)
    return database, open_archive(database.transactions), open_knowledge(settings, progress, watch, database)


def _limits(settings: Settings) -> Limits:
    return Limits(
        turns=settings.tool_turns,
        calls=settings.tool_calls,
        seconds=settings.tool_seconds,
        output_tokens=settings.tool_output_tokens,
    )


def _beside(work: Callable[[], T]) -> Future[T]:
    """In a thread that nobody waits for: unlike a pool's, it does not keep a server alive that is stopped meanwhile."""
    future = Future[T]()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="load knowledge", daemon=True).start()
    return future


def _engine(settings: Settings, directory: Path) -> Engine:
    from engine.embedded.load import LoadOptions, load_model
    from engine.embedded.loop import EmbeddedEngine
    from engine.embedded.scheduler import Limits as EngineLimits

    limits = EngineLimits(
        max_running=settings.max_running,
        max_waiting=settings.max_waiting,
        max_step_tokens=settings.max_step_tokens,
        mixed_step_tokens=settings.mixed_step_tokens or (16 if settings.device == "cpu" else 512),
    )
    options = LoadOptions(
        device=settings.device,
        quantize=settings.quantize,
        context=settings.context,
        kv_memory=settings.kv_memory << 20,
        threads=settings.threads,
        limits=limits,
    )
    return EmbeddedEngine(load_model(directory, options))


def build(settings: Settings, load: Load = load) -> tuple[Starlette, House]:
    """The application, and the state that whoever runs it needs to stop it gently."""
    house = House(settings)
    mount = Mount(house, _own_servers(house))
    app = Starlette(
        routes=[*_routes(endpoints(house, our_version())), Route(ROUTE, mount)],
        middleware=_middleware(house),
        exception_handlers={HTTPException: _http_error},
        lifespan=_lifespan(house, load, mount),
    )
    app.router.redirect_slashes = False
    return app, house


def _own_servers(house: House) -> dict[str, Callable[[], "MCPServer[Any]"]]:
    def built(target: Builtin) -> "MCPServer[Any]":
        return build_server(target, house.open().knowledge, owner_of)

    return {name: partial(built, target) for name, target in own_servers(house.settings).items()}


def _routes(endpoints: list[Endpoint]) -> list[Route]:
    """One for each path, so that whoever uses a method that is not there is told all that are."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [Route(path, _Methods(found), methods=list(found)) for path, found in paths.items()]


class _Methods:
    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self.endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self.endpoints[method](scope, receive, send)


def _lifespan(house: House, load: Load, mount: Mount) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        house.load(partial(load, house.settings, house.metrics.searched))
        yield
        await mount.close()
        await house.close()

    return lifespan


def _middleware(house: House) -> list[Middleware]:
    origins = house.settings.cors_origins
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["authorization", "content-type", "x-request-id", *ANTHROPIC_HEADERS, *MCP_HEADERS],
        expose_headers=["x-request-id", "request-id", "mcp-session-id"],
    )
    return [Middleware(Observe, house=house), *([cors] if origins else []), Middleware(Door, house=house)]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router says: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    missing = f"there is no {request.method} {request.url.path}"
    told = ApiError(error.status_code, missing, code={404: "not_found", 405: "method_not_allowed"}.get(error.status_code))
    body = error_body.told(told, request.scope["request_id"]) if error_body.is_ours(request.url.path) else told.body()
    return Response(body, error.status_code, headers=error.headers, media_type="application/json")
