"""Connections to MCP servers: the environment of a process, egress limits for HTTP, and OAuth with stored tokens."""

import asyncio
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from mcp.client.auth import OAuthFlowError
from mcp.server import MCPServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from server.mcp.config.server_spec import AuthorizationCode, ClientCredentials, Http, Stdio
from server.mcp.transport import egress
from server.mcp.transport.connect import Hooks, connect
from server.mcp.transport.egress import GuardedTransport
from server.mcp.transport.raw_results import raw_call_result
from tests.server.web import serving

OWN = "https://tools.example/mcp"
SCRIPT = """
import os
from mcp.server import MCPServer
server = MCPServer("env", log_level="WARNING")
server.add_tool(lambda: ",".join(sorted(os.environ)), "names")
server.run()
"""


def test_a_process_gets_few_variables_and_those_that_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> str:
        async with connect(Stdio(command=sys.executable, args=("-c", SCRIPT), env={"GIVEN": "1"})) as client:
            return raw_call_result(await client.call_tool("names", {}))["content"][0]["text"]

    monkeypatch.setenv("STOA_API_KEYS", "secret")
    names = asyncio.run(run()).split(",")
    assert "GIVEN" in names and "PATH" in names and "STOA_API_KEYS" not in names


def test_a_command_that_is_not_there() -> None:
    async def run() -> None:
        async with connect(Stdio(command="no-such-command-anywhere")):
            raise AssertionError("it cannot have started")

    with pytest.raises(OSError):
        asyncio.run(run())


@pytest.mark.parametrize("extra", [{}, {"resultType": "complete"}])
def test_a_result_that_does_not_say_so_is_complete(extra: dict[str, str]) -> None:
    """A hand-written server of 2026-07-28: the SDK's own always writes the field."""
    discovery = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 0, "cacheScope": "private"}
    tool = {"name": "greet", "inputSchema": {"type": "object"}}
    results: dict[str, dict[str, Any]] = {
        "server/discover": {**discovery, "resultType": "complete"},
        "tools/list": {"tools": [tool], "ttlMs": 0, "cacheScope": "private", **extra},
        "tools/call": {"content": [{"type": "text", "text": "hello"}], **extra},
    }

    async def answer(request: Request) -> Response:
        message = await request.json()
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]})

    async def run(url: str) -> str:
        async with connect(Http(url=f"{url}/mcp")) as client:
            assert client.protocol_version == "2026-07-28"
            assert [tool.name for tool in (await client.list_tools()).tools] == ["greet"]
            return raw_call_result(await client.call_tool("greet", {}))["content"][0]["text"]

    with serving(Starlette(routes=[Route("/mcp", answer, methods=["POST"])])) as url:
        assert asyncio.run(run(url)) == "hello"


# where requests may go


def through(url: str, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> httpx2.Request:
    """The request as sent, where the URL's host resolves to these addresses."""

    async def looked_up(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        if not addresses:
            raise socket.gaierror("no such host")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    sent: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append(request)
        return httpx2.Response(200)

    async def run() -> None:
        guarded = GuardedTransport(OWN, frozenset({"Auth.local"}))
        guarded.inner = httpx2.MockTransport(answer)  # pyright: ignore[reportAttributeAccessIssue]
        async with httpx2.AsyncClient(transport=guarded) as client:
            await client.get(url)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", looked_up)
    asyncio.run(run())
    return sent[0]


@pytest.mark.parametrize("url", [OWN, "https://tools.example/elsewhere", "http://auth.local:9000/token"])
def test_what_the_operator_named_is_reached_as_it_is(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(through(url, ("127.0.0.1",), monkeypatch).url) == url


def test_the_address_that_was_checked_is_the_one_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = through("https://auth.example/token", ("93.184.215.14",), monkeypatch)
    assert sent.url.host == "93.184.215.14" and sent.headers["host"] == "auth.example"
    assert sent.extensions["sni_hostname"] == "auth.example"


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("http://auth.example/token", ("93.184.215.14",)),  # no TLS
        ("http://tools.example/mcp", ("93.184.215.14",)),  # the own host, but without TLS
        ("https://tools.example:8443/mcp", ("10.0.0.1",)),  # another port of the own host
        ("https://user:secret@auth.example/", ("93.184.215.14",)),
        ("https://auth.example/", ("127.0.0.1",)),
        ("https://auth.example/", ("93.184.215.14", "10.0.0.1")),  # one of several
        ("https://169.254.169.254/latest", ("169.254.169.254",)),
        ("https://auth.example/", ("192.168.1.1",)),
        ("https://auth.example/", ("100.64.0.1",)),
        ("https://auth.example/", ("0.0.0.0",)),
        ("https://auth.example/", ("224.0.0.1",)),
        ("https://auth.example/", ("::1",)),
        ("https://auth.example/", ("::ffff:127.0.0.1",)),
        ("https://auth.example/", ("2002:7f00:1::",)),
        ("https://auth.example/", ("64:ff9b::7f00:1",)),
        ("https://auth.example/", ("fe80::1%eth0",)),
        ("https://auth.example/", ()),
    ],
)
def test_what_a_server_may_not_make_us_fetch(url: str, addresses: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(httpx2.ConnectError) as refused:
        through(url, addresses, monkeypatch)
    assert "secret" not in str(refused.value)


async def endless() -> AsyncGenerator[bytes]:
    while True:
        yield b"x" * 1000


@pytest.mark.parametrize(("media", "ends"), [("application/json", True), ("text/event-stream", False)])
def test_an_endless_answer_ends_unless_it_is_a_stream(media: str, ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def read() -> bool:
        """Whether it goes on far beyond the limit."""
        size = 0
        transport = httpx2.MockTransport(lambda request: httpx2.Response(200, content=endless(), headers={"content-type": media}))
        client = httpx2.AsyncClient(transport=transport, event_hooks={"response": [egress.limit_response_size]})
        async with client, client.stream("GET", OWN) as answer:
            async for part in answer.aiter_bytes():
                size += len(part)
                if size > 50_000:
                    return True
        return False

    monkeypatch.setattr(egress, "MAX_MESSAGE_BYTES", 10_000)
    if ends:
        with pytest.raises(httpx2.ReadError, match="longer than 10000 bytes"):
            asyncio.run(read())
    else:
        assert asyncio.run(read())


# OAuth, with a server that asks for it and an authorization server at the same address


@dataclass
class Authority:
    """An authorization server: issues tokens t1, t2 ... and accepts only the newest. `grants`: the grant types of the token requests."""

    grants: list[str] = field(default_factory=list[str])
    expires: int = 3600
    refreshes: bool = True
    url: str = ""

    @property
    def valid(self) -> str:
        return f"Bearer t{len(self.grants)}"

    def app(self, inner: Any) -> Starlette:
        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if Request(scope).headers.get("authorization") == self.valid:
                await inner(scope, receive, send)
            else:
                await Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})(scope, receive, send)

        return Starlette(
            routes=[
                Route("/.well-known/oauth-protected-resource/mcp/tools", self.resource),
                Route("/.well-known/oauth-authorization-server", self.metadata),
                Route("/register", self.register, methods=["POST"]),
                Route("/oauth/token", self.token, methods=["POST"]),
                Mount("/mcp", app=guarded),
            ],
            lifespan=inner.lifespan,
        )

    async def resource(self, request: Request) -> Response:
        return JSONResponse({"resource": f"{self.url}/mcp/tools", "authorization_servers": [f"{self.url}/"]})

    async def metadata(self, request: Request) -> Response:
        ends = {"authorization_endpoint": "authorize", "token_endpoint": "oauth/token", "registration_endpoint": "register"}
        found: dict[str, Any] = {key: f"{self.url}/{path}" for key, path in ends.items()}
        return JSONResponse({**found, "issuer": f"{self.url}/", "response_types_supported": ["code"]})

    async def register(self, request: Request) -> Response:
        return JSONResponse({**await request.json(), "client_id": "us", "token_endpoint_auth_method": "none"}, status_code=201)

    async def token(self, request: Request) -> Response:
        kind = parse_qs((await request.body()).decode())["grant_type"][0]
        if kind == "refresh_token" and not self.refreshes:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        self.grants.append(kind)
        number = len(self.grants)
        return JSONResponse({"access_token": f"t{number}", "refresh_token": "again", "token_type": "bearer", "expires_in": self.expires})


class Tools:
    """An MCP server as an ASGI application with its lifespan."""

    def __init__(self) -> None:
        server = MCPServer("tools", log_level="WARNING")
        server.add_tool(lambda: "hello", "greet")
        self.app = server.streamable_http_app(streamable_http_path="/mcp/tools")
        self.lifespan = lambda _: server.session_manager.run()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app({**scope, "root_path": ""}, receive, send)


@contextmanager
def guarded_tools() -> Generator[Authority]:
    authority = Authority()
    with serving(authority.app(Tools())) as url:
        authority.url = url
        yield authority


async def agree(url: str) -> str:
    """The browser of somebody who agrees."""
    query = parse_qs(urlsplit(url).query)
    assert query["code_challenge_method"] == ["S256"] and query["resource"][0].endswith("/mcp/tools")
    return f"{query['redirect_uri'][0]}?code=1&state={query['state'][0]}"


async def greet(authority: Authority, tokens: Path, oauth: AuthorizationCode | ClientCredentials | None = None, **hooks: Any) -> str:
    consent = oauth or AuthorizationCode(hosts=("127.0.0.1",))
    target = Http(url=f"{authority.url}/mcp/tools", oauth=consent)
    async with connect(target, Hooks(token_folder=tokens, **hooks)) as client:
        return raw_call_result(await client.call_tool("greet", {}))["content"][0]["text"]


def test_consent_is_asked_for_once_and_kept(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        assert asyncio.run(greet(authority, tmp_path, authorize=agree)) == "hello"
        assert asyncio.run(greet(authority, tmp_path)) == "hello"  # nobody is there
        assert authority.grants == ["authorization_code"]
        (kept,) = tmp_path.iterdir()
        assert kept.stat().st_mode & 0o777 == 0o600


def test_what_has_expired_meanwhile_is_refreshed(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        authority.expires = -1
        asyncio.run(greet(authority, tmp_path, authorize=agree))
        authority.expires = 3600
        assert asyncio.run(greet(authority, tmp_path)) == "hello"
        assert authority.grants[-1] == "refresh_token"


def refused(run: Callable[[], Any]) -> bool:
    """Whether it ends in an OAuthFlowError, however deep in groups."""
    found = False
    try:
        run()
    except* OAuthFlowError:
        found = True
    return found


def test_a_server_alone_cannot_agree(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        assert refused(lambda: asyncio.run(greet(authority, tmp_path)))
        asyncio.run(greet(authority, tmp_path, authorize=agree))
        authority.grants.append("somebody else")  # what we hold counts no more
        authority.refreshes = False
        assert refused(lambda: asyncio.run(greet(authority, tmp_path)))


def test_credentials_of_the_machine(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        known = ClientCredentials(client_id="us", client_secret="hush", issuer=f"{authority.url}/", hosts=("127.0.0.1",))
        assert "hush" not in repr(known)
        assert asyncio.run(greet(authority, tmp_path, known)) == "hello"
        assert authority.grants == ["client_credentials"]


def test_tokens_are_not_those_of_another_client(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        known = ClientCredentials(client_id="us", client_secret="hush", issuer=f"{authority.url}/", hosts=("127.0.0.1",))
        for client in (known, replace(known, client_id="them"), replace(known, scope="more")):
            assert asyncio.run(greet(authority, tmp_path, client)) == "hello"
        assert len(list(tmp_path.iterdir())) == 3


def test_an_authorization_page_that_is_none(tmp_path: Path) -> None:
    with guarded_tools() as authority:
        elsewhere = AuthorizationCode(hosts=())  # the page is at an address without TLS that the operator has not named
        assert refused(lambda: asyncio.run(greet(authority, tmp_path, elsewhere, authorize=agree)))
        assert authority.grants == []
