"""A server, put together once and in sight: model, engine and text; routes around them; what happens at start and end."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.errors import ApiError
from server.guard import Door, Observe
from server.house import House, Load
from server.routes import endpoints
from server.served import Served
from server.settings import Settings


def load(settings: Settings) -> Served:
    """Fetches the model if need be and starts its engine. Takes seconds, and imports what is heavy."""
    from engine.embedded.load import LoadOptions, load_model
    from engine.embedded.loop import EmbeddedEngine
    from engine.embedded.scheduler import Limits
    from server.pull import bar, pull
    from server.text import load_text

    with bar() as progress:
        directory = pull(settings.model, progress=progress)
    limits = Limits(
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
    engine = EmbeddedEngine(load_model(directory, options))
    return Served(names=(settings.name,), engine=engine, text=load_text(directory), created=int(time.time()))


def build(settings: Settings, load: Load = load) -> tuple[Starlette, House]:
    """The application, and the state that whoever runs it needs to stop it gently."""
    house = House(settings)
    app = Starlette(
        routes=[Route(e.path, e, methods=[e.method]) for e in endpoints(house, _version())],
        middleware=_middleware(house),
        exception_handlers={HTTPException: _http_error},
        lifespan=_lifespan(house, load),
    )
    app.router.redirect_slashes = False
    return app, house


def _version() -> str:
    try:
        return version("stoa")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0"


def _lifespan(house: House, load: Load) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        house.load(load)
        yield
        await house.close()

    return lifespan


def _middleware(house: House) -> list[Middleware]:
    origins, headers = house.settings.cors_origins, ["authorization", "content-type", "x-request-id"]
    cors = Middleware(CORSMiddleware, allow_origins=origins, allow_methods=["GET", "POST"], allow_headers=headers)
    return [Middleware(Observe, house=house), *([cors] if origins else []), Middleware(Door, house=house)]


async def _http_error(request: Request, error: Exception) -> Response:
    """What the router says: no such path, or not with this method."""
    assert isinstance(error, HTTPException)
    missing = f"there is no {request.method} {request.url.path}"
    told = ApiError(error.status_code, missing, code={404: "not_found", 405: "method_not_allowed"}.get(error.status_code))
    return Response(told.body(), error.status_code, headers=error.headers, media_type="application/json")
