"""The host over Streamable HTTP and with servers in its own process."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp.server.caching import CacheHint
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import ToolAnnotations
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from retrieval.records import NewFile, NewMember, NewVectorStore
from server.core.tool_host import ServerUnavailable
from server.mcp.config.server_spec import Builtin, Http, ServerSpec
from server.mcp.connection.connection import Connection
from server.mcp.host import OWNER_META_KEY, McpHost
from server.mcp.open_host import open_host
from server.mcp.transport.open_session import open_in_process_session
from server.mcp.trust.pins import NoPins
from server.runtime.knowledge_base import KnowledgeBase
from server.runtime.settings import Settings
from tests.server.fake_knowledge import knowledge, settle
from tests.server.mcp.mcp_host import QUICK, hosting, until
from tests.server.web import serving

LONG = CacheHint(3_600_000, "public")
READS = ToolAnnotations(read_only_hint=True)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 30))


class Web:
    """An ASGI app: an MCP server of the current revision, with a recording of its requests and switches that make it fail."""

    def __init__(self) -> None:
        self.status: int | None = None  # the HTTP status of all responses; None: the server's own
        self.hangs = False  # no response is sent
        self.headers: list[dict[str, str]] = []
        server = MCPServer("web", version="9", cache_hints={"tools/list": LONG}, log_level="WARNING")

        @server.tool(annotations=READS)
        async def add(a: int, b: int) -> int:
            return a + b

        @server.tool()
        async def grow(context: Context) -> str:
            server.add_tool(add, "more", annotations=READS)
            await context.notify_tools_changed()
            return "grown"

        @server.tool()
        async def sleep() -> str:
            await asyncio.sleep(60)
            return "awake"

        self.server, self.inner = server, server.streamable_http_app()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.status is not None:
            await send({"type": "http.response.start", "status": self.status, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        if scope["type"] == "http":
            while self.hangs:
                await asyncio.sleep(0.02)
            self.headers.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await self.inner(scope, receive, send)


def spec(url: str, **more: Any) -> ServerSpec:
    return ServerSpec(label="web", target=Http(url=f"{url}/mcp", headers={"x-key": "abcdefgh"}), timeout=10.0, **more)


def test_calls_over_http(tmp_path: Path) -> None:
    web = Web()

    async def work(url: str) -> None:
        async with hosting(tmp_path, spec(url)) as host:
            assert [tool.name for tool in await host.tools("web")] == ["add", "grow", "sleep"]
            outcome = await host.call("web", "add", {"a": 1, "b": 2}, owner="somebody")
            assert (outcome.text, outcome.structured, outcome.fault) == ("3", {"result": 3}, None)
            assert (await host.call("web", "add", {"a": "x", "b": 2}, owner="")).fault is not None
            status = host.status()[0]
            assert (status.kind, status.server_name, status.protocol_version) == ("http", "web", "2026-07-28")
        assert all(header["x-key"] == "abcdefgh" for header in web.headers)

    with serving(web) as url:
        run(work(url))


def test_a_server_that_tells_of_changes_is_believed_over_its_ttl(tmp_path: Path) -> None:
    async def work(url: str) -> None:
        async with hosting(tmp_path, spec(url)) as host:
            assert len(await host.tools("web")) == 3
            await host.call("web", "grow", {}, owner="")
            async with asyncio.timeout(5):
                while len(tools := await host.tools("web")) == 3:
                    await asyncio.sleep(0.02)
            assert [(tool.name, tool.changed) for tool in tools][-1] == ("more", True)

    with serving(Web()) as url:
        run(work(url))


def test_errors_of_http_open_the_circuit_and_one_success_closes_it(tmp_path: Path) -> None:
    web = Web()

    async def work(url: str) -> None:
        async with hosting(tmp_path, spec(url), replace(QUICK, failure_threshold=3, open_seconds=0.4)) as host:
            await host.tools("web")
            web.status = 503
            assert await _kind(host) == "http"
            await until(lambda: host.status()[0].state == "failed")  # it is tried again, and fails
            assert await _kind(host) == "unavailable"
            web.status = None
            await until(lambda: host.status()[0].state == "ready")  # in a new session
            assert await _kind(host) is None

    with serving(web) as url:
        run(work(url))


def test_a_server_that_hangs_gets_a_new_session(tmp_path: Path) -> None:
    web = Web()

    async def work(url: str) -> None:
        async with hosting(tmp_path, replace(spec(url), timeout=0.5), replace(QUICK, ping_timeout=0.2, failure_threshold=100)) as host:
            await host.tools("web")
            web.hangs = True
            assert await _kind(host) == "timeout"
            await until(lambda: host.status()[0].restarts >= 1)
            web.hangs = False
            await until(lambda: host.status()[0].state == "ready")
            assert await _kind(host) is None

    with serving(web) as url:
        run(work(url))


class Forgetful:
    """An ASGI app: an MCP server of revision 2025-06-18 with sessions. `answer`: HTTP status, code and message where it does not know
    the session of a request."""

    def __init__(self, answer: tuple[int, int, str]) -> None:
        self.answer, self.sessions, self.calls = answer, set[str](), 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        message = json.loads(await request.body() or "{}")
        await self._respond(message, request.headers.get("mcp-session-id"))(scope, receive, send)

    def _respond(self, message: dict[str, Any], session: str | None) -> Response:
        number, method = message.get("id"), message.get("method")
        if method == "initialize":
            session = f"s{len(self.sessions)}-{time.monotonic_ns()}"
            self.sessions.add(session)
            result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "old", "version": "1"}}
            return JSONResponse({"jsonrpc": "2.0", "id": number, "result": result}, headers={"mcp-session-id": session})
        if method == "server/discover" or number is None:
            return Response(status_code=405 if number is None and method is None else 202 if number is None else 404)
        if session not in self.sessions:
            status, code, text = self.answer
            return JSONResponse({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": text}}, status)
        if method == "tools/list":
            return JSONResponse({"jsonrpc": "2.0", "id": number, "result": {"tools": [{"name": "add", "inputSchema": {"type": "object"}}]}})
        self.calls += method == "tools/call"
        return JSONResponse({"jsonrpc": "2.0", "id": number, "result": {"content": [{"type": "text", "text": "added"}]}})


def test_the_older_transport_with_server_sent_events(tmp_path: Path) -> None:
    web = Web()

    async def work(url: str) -> None:
        target = Http(url=f"{url}/sse", headers={"x-key": "abcdefgh"}, transport="sse")
        async with hosting(tmp_path, replace(spec(url), target=target)) as host:
            assert [tool.name for tool in await host.tools("web")] == ["add", "grow", "sleep"]
            assert await _kind(host) is None
            assert web.headers[0]["x-key"] == "abcdefgh"

    web.inner = web.server.sse_app()
    with serving(web) as url:
        run(work(url))


async def _kind(host: McpHost) -> str | None:
    outcome = await host.call("web", "add", {"a": 1, "b": 2}, owner="")
    return outcome.fault.kind if outcome.fault else None


def test_a_server_that_goes_away(tmp_path: Path) -> None:
    async def work() -> None:
        web = serving(Web())
        url = await asyncio.to_thread(web.__enter__)
        async with hosting(tmp_path, spec(url), replace(QUICK, connect_wait=0.2, failure_threshold=100)) as host:
            await until(lambda: host.status()[0].state == "ready")
            await asyncio.to_thread(web.__exit__, None, None, None)
            outcome = await host.call("web", "add", {"a": 1, "b": 2}, owner="")
            assert outcome.fault is not None and outcome.fault.kind == "unavailable"
            with pytest.raises(ServerUnavailable):
                await host.tools("web")
            await until(lambda: host.status()[0].state == "waiting")

    run(work())


def test_a_server_that_was_restarted_is_back_with_the_next_call(tmp_path: Path) -> None:
    """Whatever number of attempts failed before: the circuit is open for a minute, but not for a call."""
    policy = replace(QUICK, failure_threshold=1, open_seconds=60.0, demand_delay=0.2)

    async def work() -> None:
        web = serving(Web())
        url = await asyncio.to_thread(web.__enter__)
        async with hosting(tmp_path, spec(url), policy) as host:
            assert await _kind(host) is None
            await asyncio.to_thread(web.__exit__, None, None, None)
            assert await _kind(host) == "unavailable"
            await until(lambda: host.status()[0].state == "failed")
            with serving(Web(), port=urlsplit(url).port or 0):
                await asyncio.sleep(0.3)
                began = time.monotonic()
                assert await _kind(host) is None
                assert time.monotonic() - began < 5

    run(work())


@pytest.mark.parametrize("answer", [(404, -32600, "Session not found"), (400, -32000, "Bad Request: No valid session ID provided")])
def test_a_session_that_its_server_forgot_is_opened_anew_and_the_call_sent_again(tmp_path: Path, answer: tuple[int, int, str]) -> None:
    """By the Python and the TypeScript SDK's servers; `add` is no tool that may be repeated, but this call was not taken."""
    web = Forgetful(answer)

    async def work(url: str) -> None:
        async with hosting(tmp_path, spec(url)) as host:
            await host.tools("web")
            web.sessions.clear()
            outcome = await host.call("web", "add", {}, owner="")
            assert (outcome.text, outcome.fault) == ("added", None)
            assert web.calls == 1

    with serving(web) as url:
        run(work(url))


def test_a_call_over_http_takes_no_longer_than_it_may(tmp_path: Path) -> None:
    async def work(url: str) -> None:
        policy = replace(QUICK, failure_threshold=1, open_seconds=60)
        async with hosting(tmp_path, replace(spec(url), timeout=0.5), policy) as host:
            await host.tools("web")
            outcome = await host.call("web", "sleep", {}, owner="")
            assert outcome.fault is not None and outcome.fault.kind == "timeout"
            assert await _kind(host) is None  # the server is there: that one tool is slow pauses no other

    with serving(Web()) as url:
        run(work(url))


@pytest.mark.parametrize("kind", ["knowledge", "files"])
def test_only_the_knowledge_base_is_told_who_asks(kind: Any) -> None:
    server = MCPServer("inside", log_level="WARNING")

    @server.tool()
    async def who(context: Context) -> str:
        meta: Any = context.request_context.meta or {}
        return str(meta.get(OWNER_META_KEY))

    own = ServerSpec(label="own", target=Builtin(kind=kind), trusted=True)

    async def work() -> None:
        @asynccontextmanager
        async def open_session(callbacks: Any):
            async with open_in_process_session(own, server) as session:
                yield session

        host = McpHost([Connection(own, open_session, NoPins(), QUICK)])
        outcome = await host.call("own", "who", {}, owner="abc")  # connects by itself
        assert outcome.text == ("abc" if kind == "knowledge" else "None")
        await host.close()

    run(work())


def test_nobody_is_asked_in_the_middle_of_a_call() -> None:
    class Age(BaseModel):
        years: int

    server = MCPServer("curious", log_level="WARNING")

    @server.tool()
    async def ask(context: Context) -> str:
        return str(await context.elicit("How old are you?", Age))

    own = ServerSpec(label="own", target=Builtin(kind="files"))

    async def work() -> None:
        async with open_in_process_session(own, server) as session:
            outcome = await session.call("ask", {}, None)
            assert outcome.fault is not None and "years" not in outcome.text

    run(work())


def test_our_own_servers(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("Good morning")
    (tmp_path / "data.db").touch()
    url = f"sqlite:///{tmp_path / 'data.db'}"
    settings = Settings(database_url=str(tmp_path / "stoa.db"), mcp_files=(str(tmp_path),), mcp_database=(f"main={url}",))

    async def work() -> None:
        host = open_host(settings, None)
        await host.start()
        assert host.labels == ("files", "database")
        tools = await host.tools("files")
        assert tools and all(tool.read_only and not tool.changed for tool in tools)
        outcome = await host.call("files", "read_text", {"path": "hello.txt"}, owner="")
        assert "Good morning" in outcome.text and outcome.fault is None
        assert (await host.call("files", "read_text", {"path": "../secret"}, owner="")).fault is not None
        outcome = await host.call("database", "query", {"sql": "SELECT 1 + 1 AS two"}, owner="")
        assert outcome.structured is not None and outcome.structured["rows"] == [[2]]
        assert {status.state for status in host.status()} == {"ready"}
        await host.close()

    run(work())


def test_the_knowledge_base_shows_each_owner_what_is_theirs(tmp_path: Path) -> None:
    known = knowledge(where=tmp_path / "stoa.db")
    theirs = _store(known, "a" * 64, "The moon is made of cheese.")

    async def work() -> None:
        host = open_host(Settings(database_url=str(tmp_path / "stoa.db")), known)
        await host.start()
        assert [status.state for status in host.status()] == ["stopped"]  # until somebody asks
        arguments = {"query": "What is the moon made of?"}
        found = await host.call("knowledge", "search", arguments, owner="a" * 64)
        assert "cheese" in found.text and found.fault is None
        assert "cheese" not in (await host.call("knowledge", "search", {**arguments, "stores": [theirs]}, owner="b" * 64)).text
        await host.close()
        await known.close()

    run(work())


def _store(known: KnowledgeBase, owner: str, text: str) -> str:
    store = known.store.create_store(NewVectorStore(owner=owner, name="moon"))
    file = known.store.put_file(NewFile(owner=owner, filename="moon.txt"), [text.encode()])
    known.store.add_members(owner, store.id, [NewMember(file_id=file.id)])
    settle(known, store.id, owner)
    return store.id


def test_who_has_no_mcp_servers_does_not_import_mcp() -> None:
    code = (
        "import sys, server.app, server.mcp.open_host; from server.runtime.settings import Settings;"
        "server.mcp.open_host.open_host(Settings(mcp_files=('.',)), None);"
        "print([name for name in ('mcp', 'mcp_types', 'httpx2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3], check=True)
    assert done.stdout == "[]\n"
