"""Around every request: an id, a measurement, a log line, an answer whatever happens; and the door, which asks for the key."""

import hashlib
import hmac
import ipaddress
import logging
import re
import time
from uuid import uuid4

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core import logs
from server.core.errors import ApiError
from server.http.error_body import error_body, is_anthropic_path
from server.http.sse import send_error, send_json
from server.runtime.state import ServerState

OPEN = frozenset({"/health", "/ready"})
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
        begun, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                named = (b"x-request-id", b"request-id") if is_anthropic_path(scope["path"]) else (b"x-request-id",)
                message["headers"] = [*message.get("headers", ()), *((name, request_id.encode()) for name in named)]
            await send(message)

        try:
            await self._answer(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - begun
            self.state.metrics.request_finished(scope.get("route", "other"), status, seconds)
            logs.access(request_id, scope["method"], scope["path"], status, seconds)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def noticed(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, noticed)
        except ApiError as error:
            await _send_error(scope, noticed, error)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            failed = ApiError(500, "something went wrong in the server; its log says what", code="internal_error")
            await _send_error(scope, noticed, failed)


async def _send_error(scope: Scope, send: Send, error: ApiError) -> None:
    """In the shape of the API that was called."""
    if is_anthropic_path(scope["path"]):
        await send_json(send, error.status, error_body(error, scope["request_id"]), error.headers)
    else:
        await send_error(send, error)


class AuthMiddleware:
    """Keys, when there are any; scope["owner"] tells the rest whose it was. Without keys the server is bound to loopback, and
    then only answers to names of loopback: a web page could otherwise reach it under a name of its own (DNS rebinding)."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app, self.keys = app, state.settings.api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            scope["owner"] = "" if scope["path"] in OPEN else self._owner(Headers(scope=scope))
        await self.app(scope, receive, send)

    def _owner(self, headers: Headers) -> str:
        if self.keys:
            return self._expect_key(headers)
        _expect_loopback(headers)
        return ""

    def _expect_key(self, headers: Headers) -> str:
        """Its hash: that of whoever owns what is made now."""
        given = _key(headers)
        digest = hashlib.sha256(given.encode()).hexdigest()
        known = [hmac.compare_digest(digest, key) for key in self.keys]  # all of them: the time says nothing
        if not given or not any(known):
            missing = "this server requires an API key: Authorization: Bearer KEY, or x-api-key: KEY"
            message = "the API key is not known here" if given else missing
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return digest


def _key(headers: Headers) -> str:
    """As OpenAI's clients send it, else as Anthropic's do; "" where there is none."""
    if "authorization" not in headers:
        return headers.get("x-api-key", "").strip()
    scheme, _, given = headers["authorization"].partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def _expect_loopback(headers: Headers) -> None:
    host = re.sub(r":\d+$", "", headers.get("host", "")).strip("[]").lower()
    if not is_loopback(host):
        raise ApiError(403, f"without an API key this server only answers to localhost, not to {host!r}", code="host_not_allowed")


def is_loopback(host: str) -> bool:
    """Whether a name or address, without port and brackets, is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"req_{uuid4().hex}"
