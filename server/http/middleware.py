"""Middleware around every request: request id, metrics, access log, and an error response for whatever is raised."""

import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core import logs
from server.core.errors import ApiError
from server.http.error_format import format_error, is_anthropic_path
from server.http.sse import send_json
from server.runtime.state import ServerState

REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
LOG = logging.getLogger("stoa")


class RequestMiddleware:
    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app, self.state = app, state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = _request_id(Headers(scope=scope))
        started_at, status = time.perf_counter(), 0

        async def send_with_request_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = (b"x-request-id", b"request-id") if is_anthropic_path(scope["path"]) else (b"x-request-id",)
                message["headers"] = [*message.get("headers", ()), *((name, request_id.encode()) for name in names)]
            await send(message)

        try:
            await self._answer(scope, receive, send_with_request_id)
        finally:
            seconds = time.perf_counter() - started_at
            self.state.metrics.request_finished(scope.get("route", "other"), status, seconds)
            logs.access(request_id, scope["method"], scope["path"], status, seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note_start)
        except ApiError as error:
            await _send_error(scope, send_and_note_start, error)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            error = ApiError(500, "something went wrong in the server; its log says what", code="internal_error")
            await _send_error(scope, send_and_note_start, error)


async def _send_error(scope: Scope, send: Send, error: ApiError) -> None:
    await send_json(send, error.status, format_error(error, scope["path"], scope["request_id"]), error.headers)


def _request_id(headers: Headers) -> str:
    """The client's own, where it is well-formed."""
    sent = headers.get("x-request-id", "")
    return sent if REQUEST_ID.fullmatch(sent) else f"req_{uuid4().hex}"
