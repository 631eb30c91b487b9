"""Middleware around every request: other spellings of paths; request id, metrics, access log, and an error response for whatever is
raised."""

import asyncio
import errno
import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core import logs
from server.core.cost import CURRENT, RequestCost, counted_steps
from server.core.errors import DO_NOT_RETRY, ApiError, unavailable
from server.http.error_format import format_error, is_anthropic_path
from server.http.sse import send_json
from server.runtime.state import ServerState

REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
STARTS = ("http.response.start", "websocket.http.response.start")
SWITCHING_PROTOCOLS = 101
LOG = logging.getLogger("stoa")


class PathMiddleware:
    """Clients are configured with and without /v1, with it twice, and with slashes too many. `paths`: of all endpoints."""

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self.app = app
        split = [path.strip("/").split("/") for path in paths]
        self._below_v1 = frozenset(parts[1] for parts in split if parts[0] == "v1" and len(parts) > 1)
        self._at_root = frozenset(parts[0] for parts in split) - {"v1", ""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and (path := self._usual(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path}
        await self.app(scope, receive, send)

    def _usual(self, path: str) -> str:
        parts = [part for part in path.split("/") if part]
        while parts[:2] == ["v1", "v1"]:
            del parts[0]
        first, second = (*parts[:2], "", "")[:2]
        if first in self._below_v1 - self._at_root:
            parts.insert(0, "v1")
        elif first == "v1" and second in self._at_root - self._below_v1:
            del parts[0]
        return f"/{'/'.join(parts)}"


class RequestMiddleware:
    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = _request_id(Headers(scope=scope))
        started_at, status = time.perf_counter(), 0
        cost = RequestCost(_client_address(scope), pause=self.state.throttle.pause)
        token = CURRENT.set(cost)

        async def send_with_request_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "websocket.accept":
                status = SWITCHING_PROTOCOLS
            if message["type"] in STARTS:
                status = message["status"]
                names = (b"x-request-id", b"request-id") if is_anthropic_path(scope["path"]) else (b"x-request-id",)
                await self._throttle(scope, status, cost)
                message["headers"] = [*message.get("headers", ()), *((name, request_id.encode()) for name in names)]
            await send(message)

        try:
            await self._answer(scope, receive, send_with_request_id)
        finally:
            CURRENT.reset(token)
            seconds = time.perf_counter() - started_at
            if scope["type"] == "http":  # what is asked on a connection is counted there
                if not status:
                    self.state.throttle.abandoned(cost)
                self.state.metrics.request_finished(scope.get("route", "other"), status, seconds)
            logs.access(request_id, _method(scope), scope["path"], status, seconds)

    async def _throttle(self, scope: Scope, status: int, cost: RequestCost) -> None:
        """Who gets much refused waits for it; who is served notices what others do."""
        if 400 <= status < 500:
            await asyncio.sleep(self.state.throttle.refusal_delay(cost))
        elif status < 400 and _method(scope) == "POST":
            self.state.throttle.note_served()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, refusal = False, None

        async def send_and_note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await counted_steps(self.app(scope, receive, send_and_note_start))
        except ApiError as error:
            refusal = _plain(error)
        except Exception as error:
            told = _from_os_error(error)
            LOG.error("%s %s failed%s", _method(scope), scope["path"], f": {error}" if told else "", exc_info=None if told else error)
            if started:
                raise
            refusal = to_api_error(error)
        if refusal is not None:
            await _send_error(scope, send_and_note_start, refusal)


def to_api_error(error: Exception) -> ApiError:
    """What the client is told of an error that is not its own."""
    return _from_os_error(error) or ApiError(500, "something went wrong in the server; its log says what", code="internal_error")


def _from_os_error(error: Exception) -> ApiError | None:
    """For what the machine lacks: room on a disk, such as that of temporary files, or open files."""
    match error:
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return ApiError(507, "there is no room left on a disk of the server", code="disk_full", headers=DO_NOT_RETRY)
        case OSError(errno=errno.EROFS):
            return ApiError(503, "a disk of the server can only be read", code="disk_read_only", headers=DO_NOT_RETRY)
        case OSError(errno=errno.EMFILE | errno.ENFILE):
            return unavailable("the server has too many files open; try again", "too_many_files")
        case _:
            return None


def _method(scope: Scope) -> str:
    return scope.get("method", "GET")


async def _send_error(scope: Scope, send: Send, error: ApiError) -> None:
    if scope["type"] == "websocket":
        send = _refusal(send)
    await send_json(send, error.status, format_error(error, scope["path"], scope["request_id"]), error.headers)


def _refusal(send: Send) -> Send:
    """Sends an HTTP response instead of accepting a WebSocket (ASGI's extension websocket.http.response)."""

    async def send_refusal(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return send_refusal


def _plain(error: ApiError) -> ApiError:
    """Without what it was raised from, which holds the whole request: it is sent later at times."""
    return ApiError(error.status, error.message, error.param, error.code, error.headers)


def _client_address(scope: Scope) -> str:
    return scope["client"][0] if scope.get("client") else ""


def _request_id(headers: Headers) -> str:
    """The client's own, where it is well-formed."""
    sent = headers.get("x-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else f"req_{uuid4().hex}"
