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

from server import logs
from server.errors import ApiError
from server.house import House
from server.stream import send_error

OPEN = frozenset({"/health", "/ready"})
REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
LOG = logging.getLogger("stoa")


class Observe:
    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.house = app, house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        begun, status = time.perf_counter(), 0

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await self._answer(scope, receive, observed)
        finally:
            seconds = time.perf_counter() - begun
            self.house.metrics.answered(scope.get("route", "other"), status, seconds)
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
            await send_error(noticed, error)
        except Exception:
            LOG.exception("%s %s failed", scope["method"], scope["path"])
            if started:
                raise
            await send_error(noticed, ApiError(500, "something went wrong in the server; its log says what", code="internal_error"))


class Door:
    """Keys, when there are any. Without keys the server is bound to loopback, and then only answers to names of loopback:
    a web page could otherwise reach it under a name of its own (DNS rebinding)."""

    def __init__(self, app: ASGIApp, house: House) -> None:
        self.app, self.keys = app, house.settings.api_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN:
            headers = Headers(scope=scope)
            if self.keys:
                self._expect_key(headers)
            else:
                _expect_loopback(headers)
        await self.app(scope, receive, send)

    def _expect_key(self, headers: Headers) -> None:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        digest = hashlib.sha256(given.strip().encode()).hexdigest()
        known = [hmac.compare_digest(digest, key) for key in self.keys]  # all of them: the time says nothing
        if scheme.lower() != "bearer" or not any(known):
            message = "this server requires an API key: Authorization: Bearer KEY" if not given else "the API key is not known here"
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def _expect_loopback(headers: Headers) -> None:
    host = re.sub(r":\d+$", "", headers.get("host", "")).strip("[]").lower()
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = host == "localhost" or host.endswith(".localhost")
    if not local:
        raise ApiError(403, f"without an API key this server only answers to localhost, not to {host!r}", code="host_not_allowed")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else f"req-{uuid4().hex}"
