"""Authentication of requests: API keys, or loopback host names where the server has no keys."""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from server.core.cost import charge_to
from server.core.errors import ApiError
from server.runtime.serving import Serving
from server.runtime.state import ServerState

OPEN_PATHS = frozenset({"/", "/health", "/ready", "/ping", "/icon.svg"})  # need no key
ASSETS = "/assets/"  # nor do the files of the page below it, which are the same everywhere


class AuthMiddleware:
    """Checks the API key, where the server has keys, and sets scope["owner"]: the key's hash, or "". A server without keys is bound to
    loopback and accepts only loopback host names, so that no web page reaches it by DNS rebinding."""

    def __init__(self, app: ASGIApp, state: ServerState) -> None:
        self.app, self.keys, self.origins = app, state.settings.api_keys, state.settings.cors_origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = Headers(scope=scope)
            owner = scope["owner"] = "" if _is_open(scope["path"]) else self._owner(headers)
            if owner:
                charge_to(owner)
            if scope["type"] == "websocket":
                _expect_own_origin(headers, self.origins)
        await self.app(scope, receive, send)

    def _owner(self, headers: Headers) -> str:
        if self.keys:
            return self._expect_key(headers)
        _expect_loopback(headers)
        return ""

    def _expect_key(self, headers: Headers) -> str:
        """Returns the hex SHA-256 of the request's key, which identifies the owner of what it creates. Raises ApiError 401."""
        key = _api_key(headers)
        digest = hashlib.sha256(key.encode()).hexdigest()
        matches = [hmac.compare_digest(digest, known) for known in self.keys]  # compares with every key: no timing side channel
        if not key or not any(matches):
            missing = "this server requires an API key: Authorization: Bearer KEY, or x-api-key: KEY"
            message = "the API key is not known here" if key else missing
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})
        return digest


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS or path.startswith(ASSETS)


def _api_key(headers: Headers) -> str:
    """From Authorization: Bearer (OpenAI's clients), else from x-api-key (Anthropic's). "": none is there."""
    if "authorization" not in headers:
        return headers.get("x-api-key", "").strip()
    scheme, _, credentials = headers["authorization"].partition(" ")
    return credentials.strip() if scheme.lower() == "bearer" else ""


def _expect_loopback(headers: Headers) -> None:
    host = re.sub(r":\d+$", "", headers.get("host", "")).strip("[]").lower()
    if not is_loopback(host):
        raise ApiError(403, f"without an API key this server only answers to localhost, not to {host!r}", code="host_not_allowed")


def _expect_own_origin(headers: Headers, allowed: Sequence[str]) -> None:
    """Browsers ask nobody before a page opens a WebSocket, so that the server must refuse those of strangers (RFC 6455, 10.2). Raises
    ApiError 403."""
    origin = headers.get("origin", "").lower()
    own = origin.partition("://")[2] == headers.get("host", "").lower()
    if origin and not own and not {origin, "*"} & {*allowed}:
        raise ApiError(403, f"pages of {origin!r} may not connect to this server (--cors-origin)", code="origin_not_allowed")


def expect_allowed_origin(state: Serving, headers: Headers) -> None:
    """Web pages of any origin may send forms without a CORS preflight. Raises ApiError 403 for other origins."""
    origin = headers.get("origin")
    if origin is None or state.settings.api_keys or {origin, "*"} & {*state.settings.cors_origins}:
        return
    if urlsplit(origin).netloc != headers.get("host"):
        raise ApiError(403, f"pages of {origin} may not upload here (--cors-origin allows them)", code="origin_not_allowed")


def is_loopback(host: str) -> bool:
    """Whether a host name or address, without port and brackets, is a loopback one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
