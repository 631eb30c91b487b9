"""The built-in MCP servers over Streamable HTTP at /mcp/NAME, behind AuthMiddleware: scope["owner"] is the caller. Each server is
built by the first request for it, as importing `mcp` alone takes a second."""

import asyncio
import contextlib
import logging
from asyncio import Future, Task
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from server.core.errors import ApiError, unavailable
from server.core.tool_host import ToolHostError
from server.http.auth import is_loopback
from server.runtime.state import ServerState

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

LOG = logging.getLogger("stoa")
Build = Callable[[], "MCPServer[Any]"]
"""Runs in a thread, and may take long. Raises ApiError and ToolHostError."""

ROUTE = "/mcp/{name}"
PATHS = (ROUTE, f"{ROUTE}/", "/mcp", "/mcp/")  # clients add a slash at the end, or leave it out
DEFAULT = "knowledge"  # the server at /mcp, where there are several
MAX_SESSIONS = 100  # of one key, per server
SESSION_IDLE_SECONDS = 600.0  # of a session of a protocol before 2026-07-28
METHOD_HEADER_SINCE = "2026-07-28"  # since then a header names the method; a request whose body has another one is refused
UNBOUNDED_METHODS = frozenset({"subscriptions/listen"})  # methods whose answer ends when the client goes


def owner_of(context: "Context") -> str:
    """Whose request it is that a mounted server answers. What the request says of itself does not count."""
    request: Any = context.request_context.request
    return request.scope["owner"]


class Mount:
    """An ASGI application. Every server speaks both eras of the protocol: 2026-07-28, which knows no sessions, and the revisions
    before. Where several processes share a database a session would be in one of them only: then those
    have none either, and a call of theirs ends by itself alone."""

    def __init__(self, state: ServerState, builds: Mapping[str, Build]) -> None:
        self.state = state
        self.servers = {name: Mounted(build, _options(state)) for name, build in builds.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = ROUTE
        server = self.find(scope["path"])
        _expect_origin(Headers(scope=scope), self.state.settings.cors_origins)
        with contextlib.nullcontext() if _is_unbounded(scope) else self.state.count_request():
            await server(scope, receive, send)

    async def close(self) -> None:
        """Ends what is still being answered."""
        await asyncio.gather(*(server.close() for server in self.servers.values()))

    def find(self, path: str) -> "Mounted":
        """Raises ApiError."""
        name = path.rstrip("/").rpartition("/")[2]
        if self.state.deadline is not None:
            raise unavailable("the server is stopping", "not_ready_draining")
        if name == "mcp" and name not in self.servers and (len(self.servers) == 1 or DEFAULT in self.servers):
            return self.servers[DEFAULT] if DEFAULT in self.servers else next(iter(self.servers.values()))
        if name not in self.servers:
            known = ", ".join(self.servers) or "none"
            raise ApiError(404, f"there is no MCP server {name!r} here; there is {known}", code="mcp_server_not_found")
        return self.servers[name]


class Mounted:
    """One server. Its task group is entered and left by a task of its own, as anyio wants it."""

    def __init__(self, build: Build, options: Mapping[str, Any]) -> None:
        self.build, self.options = build, options
        self._manager: Future[StreamableHTTPSessionManager] | None = None
        self._running: Task[None] | None = None
        self._stop = asyncio.Event()
        self._sessions = dict[str, OrderedDict[str, None]]()  # by owner, in the order of their last use

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._stop.is_set():
            raise unavailable("the server is stopping", "not_ready_draining")
        try:
            manager = await asyncio.shield(self._started())
        except ToolHostError as error:
            raise unavailable(str(error), "mcp_server_unavailable") from error
        scope["user"] = _user(scope["owner"])  # not before: this imports `mcp`, which has happened now, in a thread
        await manager.handle_request(scope, receive, self._track_session(scope, send))
        await self._end_oldest_sessions(manager, scope["owner"])

    def _track_session(self, scope: Scope, send: Send) -> Send:
        """A send that marks the session as used which the response names."""

        async def send_and_track(message: Message) -> None:
            session = Headers(raw=message["headers"]).get("mcp-session-id") if _is_success(message) else None
            if session is not None:
                used = self._sessions.setdefault(scope["owner"], OrderedDict())
                used.pop(session, None)
                if scope["method"] != "DELETE":
                    used[session] = None
            await send(message)

        return send_and_track

    async def _end_oldest_sessions(self, manager: "StreamableHTTPSessionManager", owner: str) -> None:
        """Keeps the owner's MAX_SESSIONS most recently used sessions, so that no owner uses up those of others."""
        used = self._sessions.get(owner, OrderedDict())
        while len(used) > MAX_SESSIONS:
            oldest, _ = used.popitem(last=False)
            await manager.handle_request(_end_request(oldest, owner), _receive_empty, _ignore)

    async def close(self) -> None:
        self._stop.set()
        if self._running is not None:
            await asyncio.wait((self._running,))

    def _started(self) -> "Future[StreamableHTTPSessionManager]":
        """The next request tries again where this one fails: a database may be down for a while."""
        over = self._running is not None and self._running.done()
        if self._manager is None or over or (self._manager.done() and self._manager.exception() is not None):
            self._manager = asyncio.get_running_loop().create_future()
            self._running = asyncio.create_task(self._run(self._manager))
        return self._manager

    async def _run(self, started: "Future[StreamableHTTPSessionManager]") -> None:
        try:
            manager = await asyncio.to_thread(self._built)
            async with manager.run():
                started.set_result(manager)
                await self._stop.wait()
        except Exception as error:
            if not started.done():
                started.set_exception(error)
                return
            LOG.exception("the MCP server ended; the next request starts it anew")

    def _built(self) -> "StreamableHTTPSessionManager":
        from mcp.server.transport_security import TransportSecuritySettings

        server = self.build()
        checked_already = TransportSecuritySettings(enable_dns_rebinding_protection=False)
        server.streamable_http_app(transport_security=checked_already, **self.options)
        return server.session_manager


def _options(state: ServerState) -> dict[str, Any]:
    return {
        "stateless_http": state.settings.shares_database,
        "max_request_body_size": state.settings.max_body_bytes,
        "max_sessions": None,  # there are as many as MAX_SESSIONS for each key
        "session_idle_timeout": SESSION_IDLE_SECONDS,
    }


def _is_success(message: Message) -> bool:
    return message["type"] == "http.response.start" and message["status"] < 400


def _end_request(session: str, owner: str) -> Scope:
    """The scope of a request by the owner to end a session."""
    headers = [(b"mcp-session-id", session.encode()), (b"host", b"localhost")]
    request = {"type": "http", "http_version": "1.1", "scheme": "http", "method": "DELETE", "path": "/", "query_string": b""}
    return {**request, "headers": headers, "owner": owner, "user": _user(owner)}


async def _receive_empty() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _ignore(message: Message) -> None:
    """Discards the response: that the session has ended already is no error."""


def _user(owner: str) -> object:
    """A session belongs to the key that opened it; the SDK compares these."""
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    return AuthenticatedUser(AccessToken(token="", client_id=owner, scopes=[]))


def _is_unbounded(scope: Scope) -> bool:
    """Whether the response ends only when the client goes; such streams do not delay a shutdown. The method header counts since MCP
    2026-07-28 only: before, it is not checked against the body."""
    headers = Headers(scope=scope)
    has_method_header = headers.get("mcp-protocol-version", "") >= METHOD_HEADER_SINCE
    return scope["method"] == "GET" or (has_method_header and headers.get("mcp-method") in UNBOUNDED_METHODS)


def _expect_origin(headers: Headers, allowed: tuple[str, ...]) -> None:
    """Raises ApiError 403 for web pages of other origins than the configured and loopback ones (MCP: servers must validate Origin)."""
    origin = headers.get("origin")
    if origin is not None and not {origin, "*"} & {*allowed} and not is_loopback(_host(origin)):
        raise ApiError(403, f"pages of {origin!r} may not call this server (--cors-origin)", code="origin_not_allowed")


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:  # a malformed IPv6 address
        return ""
