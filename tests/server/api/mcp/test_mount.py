"""Our MCP servers over HTTP: both eras, behind the door, each request under its own key."""

import asyncio
import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from starlette.routing import Route

from server.api.mcp import mount
from server.api.mcp.mount import Build, owner_of
from server.app import create_app
from server.core.errors import ApiError
from server.core.tool_host import ToolHostError
from server.mcp.config.server_spec import Http
from server.mcp.transport.connect import connect
from server.runtime.settings import Settings
from server.runtime.state import ServerState
from tests.conformance.fixture import application
from tests.server.web import serving

ROOT = Path(__file__).parents[4]
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json", "mcp-protocol-version": "2025-11-25"}
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
OPENING = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}


class Witness:
    """A server whose tools tell who called, and what became of a call that takes long."""

    def __init__(self) -> None:
        self.began, self.cancelled = threading.Event(), threading.Event()
        self.built = 0

    def server(self) -> MCPServer:
        self.built += 1
        made = MCPServer("witness", log_level="WARNING")

        @made.tool()
        async def who(ctx: Context) -> str:
            return owner_of(ctx)

        @made.tool()
        async def wait() -> str:
            self.began.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled.set()
                raise
            return "done"

        _ = who, wait
        return made


@contextmanager
def hosting(build: Build, state: ServerState | None = None, **settings: Any) -> Generator[str]:
    """The URL of the server `it`."""
    with serving(application(state or ServerState(Settings(**settings)), {"it": build})) as url:
        yield f"{url}/mcp/it"


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def said(client: Client, tool: str, **options: Any) -> str:
    result = await client.call_tool(tool, {}, **options)
    return getattr(result.content[0], "text", "")


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_both_eras_and_whose_request_it_is() -> None:
    async def run(url: str, key: str, mode: str) -> tuple[str, str]:
        http = httpx2.AsyncClient(headers=bearer(key))
        async with http, Client(streamable_http_client(url, http_client=http), mode=mode) as client:
            return str(client.protocol_version), await said(client, "who", meta={"stoa/owner": "somebody else"})

    with hosting(Witness().server, api_keys=("one", "two")) as url:
        for key in ("one", "two"):
            owner = hashlib.sha256(key.encode()).hexdigest()
            assert asyncio.run(run(url, key, "auto")) == ("2026-07-28", owner)
            assert asyncio.run(run(url, key, "legacy")) == ("2025-11-25", owner)


def test_without_a_key_nothing_is_told() -> None:
    witness = Witness()
    with hosting(witness.server, api_keys=("one",)) as url:
        for headers in ({}, bearer("other")):
            answer = httpx.post(url, json=OPENING, headers={**HEADERS, **headers})
            assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
        assert witness.built == 0


def test_a_session_belongs_to_the_key_that_opened_it() -> None:
    with hosting(Witness().server, api_keys=("one", "two")) as url:
        opened = httpx.post(url, json=OPENING, headers={**HEADERS, **bearer("one")})
        session = {**HEADERS, "mcp-session-id": opened.headers["mcp-session-id"]}
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        initialized = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        assert httpx.post(url, json=initialized, headers={**session, **bearer("one")}).status_code == 202
        assert httpx.post(url, json=listing, headers={**session, **bearer("one")}).status_code == 200
        assert httpx.post(url, json=listing, headers={**session, **bearer("two")}).status_code == 404


def test_nobody_takes_the_sessions_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(key: str) -> dict[str, str]:
        answer = httpx.post(url, json=OPENING, headers={**HEADERS, **bearer(key)})
        assert answer.status_code == 200
        return {**HEADERS, **bearer(key), "mcp-session-id": answer.headers["mcp-session-id"]}

    def answered(session: dict[str, str]) -> int:
        return httpx.post(url, json={"jsonrpc": "2.0", "id": 2, "method": "ping"}, headers=session).status_code

    monkeypatch.setattr(mount, "MAX_SESSIONS", 3)
    with hosting(Witness().server, api_keys=("one", "two")) as url:
        quiet = opened("two")
        first, second = opened("one"), opened("one")
        many = [opened("one")]
        assert answered(first) == 200  # so the second is the one that was used least lately
        many += [opened("one")]
        assert [answered(session) for session in (first, second, *many, quiet)] == [200, 404, 200, 200, 200]
        assert httpx.delete(url, headers=first).status_code == 200
        many += [opened("one")]
        assert [answered(session) for session in many] == [200, 200, 200]


def test_there_are_no_sessions_where_processes_share_a_database() -> None:
    with hosting(Witness().server, database_url="postgresql://nowhere/stoa") as url:
        opened = httpx.post(url, json=OPENING, headers=HEADERS)
        assert opened.status_code == 200 and "mcp-session-id" not in opened.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "https://app.example"}, 200),
        ({"origin": "http://localhost:5173"}, 200),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost"}, 200),
        ({}, 200),
    ],
)
def test_web_pages_may_not_call_from_everywhere(headers: dict[str, str], status: int) -> None:
    with hosting(Witness().server, cors_origins=("https://app.example",)) as url:
        assert httpx.post(url, json=OPENING, headers={**HEADERS, **headers}).status_code == status


def test_what_is_not_there_and_what_is_too_large() -> None:
    with hosting(Witness().server, max_body_bytes=1000) as url:
        missing = httpx.post(f"{url}er", json=OPENING, headers=HEADERS)
        assert missing.status_code == 404 and "there is it" in missing.json()["error"]["message"]
        assert httpx.post(url, content=b"x" * 1001, headers=HEADERS).status_code == 413
        assert httpx.post(url, content=b"{", headers=HEADERS).status_code == 400


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_call_that_nobody_waits_for_ends(mode: str) -> None:
    async def run(url: str) -> None:
        async with Client(url, mode=mode) as client:
            call = asyncio.create_task(client.call_tool("wait", {}))
            await asyncio.to_thread(witness.began.wait, 10)
            call.cancel()
            await asyncio.wait((call,))
            assert await asyncio.to_thread(witness.cancelled.wait, 10)

    witness = Witness()
    with hosting(witness.server) as url:
        asyncio.run(run(url))


def test_what_could_not_be_built_is_tried_again() -> None:
    witness, fails = Witness(), iter([True, False])

    def build() -> MCPServer:
        if next(fails):
            raise ToolHostError("the database is away")
        return witness.server()

    with hosting(build) as url:
        first = httpx.post(url, json=OPENING, headers=HEADERS)
        assert first.status_code == 503 and first.json()["error"]["message"] == "the database is away"
        assert httpx.post(url, json=OPENING, headers=HEADERS).status_code == 200
        assert httpx.post(url, json=OPENING, headers=HEADERS).status_code == 200
        assert witness.built == 1


def test_a_draining_server_takes_no_more_and_waits_for_calls() -> None:
    async def run(url: str) -> None:
        async with connect(Http(url=url)) as client:
            call = asyncio.create_task(client.call_tool("wait", {}))
            await asyncio.to_thread(witness.began.wait, 10)
            assert state.active_requests == 1
            state.drain()
            assert not state.drained
            refused = await asyncio.to_thread(httpx.post, url, json=OPENING, headers=HEADERS)
            assert refused.status_code == 503
            call.cancel()
            await asyncio.wait((call,))
            await asyncio.to_thread(wait_until, lambda: state.drained)

    witness, state = Witness(), ServerState(Settings())
    with hosting(witness.server, state) as url:
        asyncio.run(run(url))


def test_a_stream_of_news_keeps_no_server_from_stopping() -> None:
    async def run(url: str) -> None:
        async with connect(Http(url=url)) as client, client.listen(tools_list_changed=True):
            await asyncio.sleep(0.1)
            state.drain()
            assert state.drained

    state = ServerState(Settings())
    with hosting(Witness().server, state) as url:
        asyncio.run(run(url))


def test_only_streams_of_news_are_not_waited_for() -> None:
    """Before MCP 2026-07-28 nobody compares the header with what is asked for."""
    witness, state = Witness(), ServerState(Settings())
    with hosting(witness.server, state) as url:
        session = {**HEADERS, "mcp-session-id": httpx.post(url, json=OPENING, headers=HEADERS).headers["mcp-session-id"]}
        call = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "wait", "arguments": {}}}
        lying = {"mcp-method": "subscriptions/listen"}
        with httpx.stream("POST", url, json=call, headers={**session, **lying}):
            assert witness.began.wait(10)
            assert state.active_requests == 1
        modern = {**HEADERS, **lying, "mcp-protocol-version": "2026-07-28"}
        assert httpx.post(url, json=call, headers=modern).status_code == 400


def test_a_server_that_ended_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """However that came about: one day the SDK will have a way."""
    ended, run, witness = threading.Event(), StreamableHTTPSessionManager.run, Witness()

    @asynccontextmanager
    async def ending(manager: StreamableHTTPSessionManager) -> AsyncGenerator[None]:
        async with run(manager), asyncio.TaskGroup() as tasks:
            if witness.built == 1:
                tasks.create_task(end())
            yield

    async def end() -> None:
        await asyncio.to_thread(ended.wait, 10)
        raise OSError("no more")

    monkeypatch.setattr(StreamableHTTPSessionManager, "run", ending)
    state = ServerState(Settings())
    with hosting(witness.server, state) as url:
        assert httpx.post(url, json=OPENING, headers=HEADERS).status_code == 200
        ended.set()
        wait_until(lambda: httpx.post(url, json=OPENING, headers=HEADERS).status_code == 200 and witness.built == 2)


def test_mcp_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, server.api.mcp.mount; sys.exit('mcp' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("path", ["/mcp/it", "/mcp/it/", "/mcp/"])
def test_a_slash_more_or_less_and_no_name_find_the_server(path: str) -> None:
    with hosting(Witness().server) as url:
        opened = httpx.post(url.removesuffix("/mcp/it") + path, json=OPENING, headers=HEADERS)
        assert opened.status_code == 200 and "mcp-session-id" in opened.headers


def test_without_a_name_the_knowledge_base_comes_first() -> None:
    state, builds = ServerState(Settings()), {"files": Witness().server, "knowledge": Witness().server}
    mounted = mount.Mount(state, builds)
    assert mounted.find("/mcp/") is mounted.servers["knowledge"] and mounted.find("/mcp/files/") is mounted.servers["files"]
    with pytest.raises(ApiError, match="there is files, database"):
        mount.Mount(state, {"files": Witness().server, "database": Witness().server}).find("/mcp")


def test_all_paths_are_routes_of_the_product() -> None:
    app, _ = create_app(Settings(embedding_model="none"))
    assert {"/mcp", "/mcp/", "/mcp/{name}", "/mcp/{name}/"} <= {route.path for route in app.routes if isinstance(route, Route)}
