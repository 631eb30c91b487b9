"""The application, put together: what is loaded at start, the routes, the middleware around them, and the life cycle."""

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from retrieval.images.limits import ImageLimits
from retrieval.store.api import Store
from server.api.mcp.mount import PATHS, Mount, owner_of
from server.api.routes import endpoints, sockets
from server.api.system.absent import alternative
from server.api.system.page import Page
from server.archive.api import Archive
from server.core.errors import ApiError
from server.core.tool_limits import ToolLimits
from server.core.version import our_version
from server.http.auth import AuthMiddleware
from server.http.connection.websocket import NoWebSocket
from server.http.endpoint import Endpoint
from server.http.error_format import format_error
from server.http.middleware import PathMiddleware, RequestMiddleware
from server.http.warnings import WARNINGS_HEADER
from server.mcp.builtin import build_server as build_server
from server.mcp.config.server_spec import Builtin
from server.mcp.open_host import open_host, own_servers
from server.runtime.classifier import open_classifier_model
from server.runtime.knowledge_base import KnowledgeBase, ObserveSearch, open_database, open_knowledge_base
from server.runtime.loading.chat import open_chat_model
from server.runtime.loading.open_images import open_images
from server.runtime.loading.open_speech import open_speech
from server.runtime.runtime import Runtime
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from server.speech.model import SpeechModel
from server.speech.reading import RecordingReader
from server.weights.progress import Progress

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from server.runtime.tracing.tracing import Tracing

LOG = logging.getLogger("stoa")
T = TypeVar("T")
LoadRuntime = Callable[[Settings, ObserveSearch | None], Runtime]


@contextmanager
def collector_at_rest() -> Generator[None]:
    """Start makes millions of objects that stay: to look through them over and over takes a third of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def load_runtime(settings: Settings, watch: ObserveSearch | None = None) -> Runtime:
    """Fetches the models if needed, starts the engine and opens the knowledge base, in parallel. Takes seconds and imports heavy
    libraries. `watch` is called with each stage of a search. MCP servers are not connected yet."""
    from server.weights.progress import progress_bar

    with collector_at_rest(), progress_bar() as progress:
        speech, images = open_speech(settings, progress), open_images(settings, progress)
        opening = _in_daemon_thread(lambda: _open_database(settings, progress, watch, speech))
        prompts = _server_prompts()
        first, *others = [open_chat_model(settings, name, progress, prompts) for name in settings.models]
        database, archive, knowledge = opening.result()
        runtime = Runtime(
            names=(first.name,),
            engine=first.engine,
            tokenizer=first.tokenizer,
            sight=first.sight,
            fetch_image=_fetcher(settings),
            others=tuple(others),
            speech=speech,
            classifier=open_classifier_model(settings, progress),
            images=images,
            created=int(time.time()),
            knowledge_base=knowledge,
            archive=archive,
            tool_host=open_host(settings, knowledge, archive),
            database=database,
            sealing_key=archive.sealing_key(),
            tool_limits=_tool_limits(settings),
            max_answer_tokens=settings.max_answer_tokens,
            aliases=settings.aliases,
        )
        gc.freeze()  # a full collection over all that was loaded stops every stream for some 0.3 s, and finds nothing
        return runtime


def _open_database(
    settings: Settings, progress: Progress, watch: ObserveSearch | None, speech: SpeechModel | None
) -> tuple[Store, Archive, KnowledgeBase | None]:
    from server.archive.database import open_archive

    database = open_database(settings)
    reader = RecordingReader(speech) if speech is not None else None
    return database, open_archive(database.transactions), open_knowledge_base(settings, progress, watch, database, reader)


def _fetcher(settings: Settings) -> Callable[[str, str], Awaitable[bytes]] | None:
    """Of images that requests name by URL; None where no host is allowed."""
    if not settings.image_hosts:
        return None
    from server.mcp.fetch import ImageLinks  # which brings a client of HTTP

    return ImageLinks(settings.allowed_image_hosts, ImageLimits().file_bytes).fetch


def _tool_limits(settings: Settings) -> ToolLimits:
    return ToolLimits(
        max_turns=settings.tool_turns,
        max_calls=settings.tool_calls,
        max_seconds=settings.tool_seconds,
        max_output_tokens=settings.tool_output_tokens,
    )


def _in_daemon_thread(work: Callable[[], T]) -> Future[T]:
    """Runs `work` in a daemon thread, which unlike an executor's does not delay the exit of a server that is stopped meanwhile."""
    future = Future[T]()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="load knowledge", daemon=True).start()
    return future


def _server_prompts() -> list[str]:
    """What this server itself writes at the beginning of prompts, up to the first word of a client."""
    from server.chat.grounding.prompt import INSTRUCTIONS
    from server.chat.grounding.query_rewrite import REWRITE_PROMPT
    from server.text.tool_calls import tools_as_text

    return [prompt.partition("{")[0] for prompt in (INSTRUCTIONS, REWRITE_PROMPT, tools_as_text.INSTRUCTIONS)]


def create_app(settings: Settings, load: LoadRuntime = load_runtime) -> tuple[Starlette, ServerState]:
    """The application, and the state by which it is drained and stopped."""
    state, tracing = ServerState(settings), _open_tracing(settings)
    mount = Mount(state, _mcp_server_factories(state))
    page = Page(shown=settings.page)
    known = endpoints(state, our_version(), page)
    app = Starlette(
        routes=[*_routes(known), *(Route(path, mount) for path in PATHS), *page.routes(), *_sockets(state)],
        middleware=_middleware(state, (*(endpoint.path for endpoint in known), *PATHS), tracing),
        exception_handlers={HTTPException: _http_error},
        lifespan=_lifespan(state, load, mount, tracing),
    )
    app.router.redirect_slashes = False
    return app, state


def _mcp_server_factories(state: ServerState) -> dict[str, Callable[[], "MCPServer[Any]"]]:
    def built(target: Builtin) -> "MCPServer[Any]":
        return build_server(target, state.expect_ready().knowledge_base, owner_of)

    return {name: partial(built, target) for name, target in own_servers(state.settings).items()}


def _routes(endpoints: list[Endpoint]) -> list[Route]:
    """One route per path, so that a 405 lists all its methods."""
    paths: dict[str, dict[str, Endpoint]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
    return [Route(_with_slashes(path), _ByMethod(found), methods=list(found)) for path, found in paths.items()]


def _sockets(state: ServerState) -> list[BaseRoute]:
    return [*(WebSocketRoute(path, socket) for path, socket in sockets(state).items()), WebSocketRoute("/{path:path}", NoWebSocket())]


def _with_slashes(path: str) -> str:
    """Names of models may contain slashes; ids do not."""
    return path.replace("{model}", "{model:path}")


class _ByMethod:
    def __init__(self, endpoints: dict[str, Endpoint]) -> None:
        self.endpoints = endpoints

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        await self.endpoints[method](scope, receive, send)


def _open_tracing(settings: Settings) -> "Tracing | None":
    if not settings.traces:
        return None
    if (problem := settings.tracing_problem) is not None:  # the variables of the machine may be meant for others
        LOG.warning("nothing is traced: %s", problem)
        return None
    from server.runtime.tracing.tracing import open_tracing

    return open_tracing(settings)


def _lifespan(
    state: ServerState, load: LoadRuntime, mount: Mount, tracing: "Tracing | None"
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        state.start_loading(partial(_load, load, state, tracing))
        yield
        await mount.close()
        await state.close()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)

    return lifespan


def _load(load: LoadRuntime, state: ServerState, tracing: "Tracing | None") -> Runtime:
    watch = state.metrics.search_stage
    return load(state.settings, watch) if tracing is None else tracing.runtime(load(state.settings, tracing.stages(watch)))


def _middleware(state: ServerState, paths: Iterable[str], tracing: "Tracing | None") -> list[Middleware]:
    """CORS stands outside of all: errors get its headers, too."""
    origins = state.settings.cors_origins
    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "HEAD", "POST", "DELETE"],
        allow_headers=["*"],  # those that are asked for: the official clients send many of their own
        allow_private_network=True,
        expose_headers=["x-request-id", "request-id", "mcp-session-id", WARNINGS_HEADER],
    )
    traced = [tracing.middleware] if tracing is not None else []
    own = [*traced, Middleware(RequestMiddleware, state=state), Middleware(AuthMiddleware, state=state)]
    return [*([cors] if origins else []), Middleware(PathMiddleware, paths=frozenset(paths)), *own]


async def _http_error(request: Request, error: Exception) -> Response:
    """Errors of the router: unknown path (404) or method (405)."""
    assert isinstance(error, HTTPException)
    advice = alternative(request.url.path) if error.status_code == 404 else None
    missing = f"there is no {request.method} {request.url.path}{f': {advice}' if advice else ''}"
    told = ApiError(error.status_code, missing, code={404: "not_found", 405: "method_not_allowed"}.get(error.status_code))
    body = format_error(told, request.url.path, request.scope["request_id"])
    return Response(body, error.status_code, headers=error.headers, media_type="application/json")
