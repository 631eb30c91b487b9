"""Traces of server processes with SmolLM2, as a collector gets them."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server.conftest import ROOT, Running, free_port, running
from tests.server.runtime.tracing.collector import Collector, Seen, collecting

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
QUESTION = "How many days of paid leave do I have?"
LEAVE = b"# Leave\n\nEverybody has 31 days of paid leave a year."
PROTOCOL = "2026-07-28"


@dataclass(frozen=True)
class World:
    server: Running
    collector: Collector
    store: str


@contextmanager
def traced(url: str, log: Path, *options: str) -> Iterator[Running]:
    """A server that sends its spans there, and soon."""
    with ExitStack() as until_it_ends:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", url)
            environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
            server = until_it_ends.enter_context(running(log, *options))
        yield server


@pytest.fixture(scope="module")
def world(smollm2: str, minilm: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("traced")
    with collecting() as collector, traced(collector.url, folder / "log", "--mcp-files", str(folder)) as server:
        yield World(server, collector, filled_store(server.url))


def filled_store(url: str) -> str:
    file = httpx.post(f"{url}/v1/files", files={"file": ("leave.md", LEAVE)}, data={"purpose": "assistants"}).json()
    store = httpx.post(f"{url}/v1/vector_stores", json={"name": "handbook", "file_ids": [file["id"]]}).json()["id"]
    end = time.monotonic() + 120
    while httpx.get(f"{url}/v1/vector_stores/{store}").json()["status"] != "completed":
        assert time.monotonic() < end
        time.sleep(0.1)
    return store


def chat(url: str, headers: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 16, **options}
    response = httpx.post(f"{url}/v1/chat/completions", json=body, headers=headers, timeout=120)
    assert response.status_code == 200, response.text
    return response.json()


def children(spans: Sequence[Seen], parent: Seen) -> list[Seen]:
    return sorted((span for span in spans if span.parent == parent.id), key=lambda span: span.begin)


def root_has_come(spans: Sequence[Seen]) -> bool:
    """The server's span of a request ends last."""
    return any(span.kind == 2 and span.scope == "stoa" for span in spans)


def test_a_chat_with_documents_continues_the_clients_trace(world: World) -> None:
    answer = chat(world.server.url, TRACEPARENT, tools=[{"type": "file_search", "vector_store_ids": [world.store]}])
    spans = world.collector.trace_of(lambda span: span.trace == TRACE, root_has_come)
    (http,) = [span for span in spans if span.parent == CALLER]
    assert (http.name, http.kind, http.service, http.failed) == ("POST /v1/chat/completions", 2, "stoa", False)
    assert http.attributes["http.response.status_code"] == 200 and http.attributes["http.route"] == "/v1/chat/completions"
    (loop,) = children(spans, http)
    search, turn = children(spans, loop)
    assert (loop.name, search.name, turn.name) == ("invoke_agent", "retrieval", "chat smollm2")
    assert [span.name for span in children(spans, search)] == ["embed", "look_up"] and search.attributes["stoa.retrieval.hits"] == 1
    phases = children(spans, turn)
    assert [phase.name for phase in phases] == ["queue", "prefill", "decode"]
    assert phases[0].begin >= turn.begin and phases[0].end == phases[1].begin and phases[1].end == phases[2].begin <= turn.end
    known, usage = turn.attributes, answer["usage"]
    assert (known["gen_ai.operation.name"], known["gen_ai.request.model"], known["gen_ai.provider.name"]) == ("chat", "smollm2", "stoa")
    assert (known["gen_ai.usage.input_tokens"], known["gen_ai.usage.output_tokens"]) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert (known["gen_ai.request.max_tokens"], known["gen_ai.request.temperature"]) == (16, 0.0)


def test_a_tool_that_the_model_calls_is_in_the_trace(world: World) -> None:
    tool = {"type": "mcp", "server_label": "knowledge", "allowed_tools": ["search"], "require_approval": "never"}
    choice = {"type": "mcp", "server_label": "knowledge", "name": "search"}
    body = {"model": "smollm2", "input": QUESTION, "tools": [tool], "tool_choice": choice, "temperature": 0, "max_output_tokens": 120}
    httpx.post(f"{world.server.url}/v1/responses", json=body, timeout=120).raise_for_status()
    spans = world.collector.trace_of(lambda span: span.name == "POST /v1/responses", lambda spans: True)
    (call,) = [span for span in spans if span.name == "execute_tool search"]
    (request,) = children(spans, call)
    assert (request.name, request.scope, request.kind) == ("tools/call search", "mcp-python-sdk", 2)
    assert [span.name for span in children(spans, request)] == ["embed", "look_up"]
    loop = next(span for span in spans if span.name == "invoke_agent")
    assert [s.name for s in children(spans, loop) if s.scope == "stoa"] == ["chat smollm2", "execute_tool search", "chat smollm2"]


def test_traces_of_mcp_clients_are_continued(world: World) -> None:
    trace, caller = "1" * 31 + "2", "3" * 16
    call_file(world.server.url, "no/such/periwinkle", f"00-{trace}-{caller}-01")
    spans = world.collector.trace_of(lambda span: span.trace == trace, bool)
    (called,) = [span for span in spans if span.parent == caller]
    assert called.name.startswith("tools/call") and called.failed


def call_file(url: str, path: str, traceparent: str) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": PROTOCOL,
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "traceparent": traceparent,
    }
    params = {"name": "read_text", "arguments": {"path": path}, "_meta": meta}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": PROTOCOL,
        "mcp-method": "tools/call",
        "mcp-name": "read_text",
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    response = httpx.post(f"{url}/mcp/files", json=body, headers=headers, timeout=60)
    assert response.status_code == 200 and "periwinkle" in response.text, response.text


def test_no_word_of_users_documents_or_answers_is_sent(world: World) -> None:
    search = {"tools": [{"type": "file_search", "vector_store_ids": [world.store]}], "include": ["file_search_call.results"]}
    answer = chat(world.server.url, **search)
    said, found = answer["choices"][0]["message"]["content"], json.dumps(answer["file_search_call"])
    httpx.get(f"{world.server.url}/v1/periwinkle")
    httpx.get(f"{world.server.url}/v1/models/periwinkle")
    call_file(world.server.url, "a/periwinkle", f"00-{'4' * 32}-{'5' * 16}-01")
    world.collector.trace_of(lambda span: span.trace == "4" * 32, bool)
    assert "31 days" in found and len(said) > 8 and world.collector.bodies  # which words are said, a small model decides
    for words in (QUESTION.encode(), b"paid leave", b"Everybody", said.encode(), b"periwinkle", b"leave.md"):
        assert not [body for body in world.collector.bodies if words in body], words


def test_probes_and_scrapes_leave_no_spans(world: World) -> None:
    httpx.get(f"{world.server.url}/metrics")
    httpx.get(f"{world.server.url}/v1/models")
    world.collector.trace_of(lambda span: span.name == "GET /v1/models", bool)
    assert not [span for span in world.collector.spans if span.attributes.get("http.route") in ("/metrics", "/ready", "/health")]


def test_a_trace_goes_through_two_servers(world: World, tmp_path: Path) -> None:
    """The one in front asks the other for tokens, and for tools over MCP."""
    config = tmp_path / "mcp.json"
    config.write_text(f'{{"mcpServers": {{"far": {{"url": "{world.server.url}/mcp/files", "trusted": true}}}}}}')
    upstream = ("--engine", "remote", "--upstream", world.server.url, "--embedding-model", "none", "--mcp-config", str(config))
    with traced(world.collector.url, tmp_path / "log", *upstream, "--database-url", str(tmp_path / "front.db")) as front:
        tool = {"type": "mcp", "server_label": "far", "allowed_tools": ["list_directory"], "require_approval": "never"}
        body = {
            "model": "smollm2",
            "input": "List what is there.",
            "tools": [tool],
            "tool_choice": "required",
            "temperature": 0,
            "max_output_tokens": 60,
        }
        response = httpx.post(
            f"{front.url}/v1/responses",
            json={**body, "max_output_tokens": 60},
            headers={"traceparent": f"00-{'6' * 32}-{CALLER}-01"},
            timeout=120,
        )
        response.raise_for_status()
        spans = world.collector.trace_of(lambda span: span.trace == "6" * 32, lambda spans: any(span.parent == CALLER for span in spans))
    by_id = {span.id: span for span in spans}
    completions = [span for span in spans if span.name == "POST /v1/completions"]
    assert completions and all((by_id[span.parent].name, by_id[span.parent].kind) == ("chat smollm2", 3) for span in completions)
    assert [span.name for span in children(spans, completions[0])] == ["text_completion smollm2"]
    calls = [span for span in spans if span.name.startswith("tools/call") and span.kind == 2]
    assert calls and all(by_id[by_id[span.parent].parent].name.startswith("execute_tool") for span in calls)


@pytest.fixture
def silence() -> Iterator[str]:
    """The URL of a collector that takes connections and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_no_request_and_no_shutdown_waits_for_a_collector(smollm2: str, silence: str, tmp_path: Path) -> None:
    with traced(silence, tmp_path / "log", "--embedding-model", "none", "--drain-seconds", "1") as server:
        for _ in range(3):
            assert chat(server.url)["choices"]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) == 0


def test_where_it_is_off_nothing_of_opentelemetry_is_imported(smollm2: str, minilm: str, tmp_path: Path) -> None:
    """A server process that tells all its imports."""
    port, log = free_port(), tmp_path / "log"
    command = [
        sys.executable,
        "-X",
        "importtime",
        "-m",
        "server.cli",
        "serve",
        "--port",
        str(port),
        "--database-url",
        str(tmp_path / "stoa.db"),
    ]
    with log.open("wb") as file, subprocess.Popen(command, cwd=ROOT, stderr=file, stdout=file) as process:
        try:
            url, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
            while not _ready(url):
                assert time.monotonic() < end and process.poll() is None, log.read_text()[-2000:]
                time.sleep(0.1)
            chat(url, TRACEPARENT, tools=[{"type": "file_search", "vector_store_ids": [filled_store(url)]}])
        finally:
            process.kill()
    imported = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", log.read_text(), re.M)
    assert "server.runtime.tracing.api" in imported and not [
        name for name in imported if "opentelemetry" in name or name == "server.runtime.tracing.tracing"
    ]


def _ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ready").status_code == 200
    except httpx.TransportError:
        return False
