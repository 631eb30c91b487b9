"""What is begun with one replica goes on with the other: each test speaks with two addresses in turns. They are those of the replicas;
with `--all` also twice that of nginx, which gives each request to whom it likes."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from openai import OpenAI

from bench.replicas.processes import nginx
from server.mcp.config.server_spec import Http
from server.mcp.transport.connect import connect
from tests.server.conftest import Running
from tests.server.replicas.conftest import Replicas, metric, until

FACT = b"# Leave\n\nEverybody at Walrus Ltd has 31 days of paid leave a year."
QUESTION = "How many days of paid leave does everybody have?"
GIVEN: Any = {"api_key": "none", "max_retries": 0}
LONG: Any = {"model": "smollm2", "input": "Tell a long story.", "background": True, "extra_body": {"min_tokens": 4000}}


@dataclass(frozen=True)
class Pair:
    one: OpenAI
    other: OpenAI
    urls: tuple[str, str]
    servers: tuple[Running, Running]


@pytest.fixture(scope="module", params=["replicas", pytest.param("nginx", marks=pytest.mark.slow)])
def pair(request: pytest.FixtureRequest, replicas: Replicas) -> Iterator[Pair]:
    servers = replicas.two()
    direct = nullcontext((servers[0].url, servers[1].url))
    with direct if request.param == "replicas" else nginx([server.url for server in servers]) as urls:
        one, other = (urls, urls) if isinstance(urls, str) else urls
        with OpenAI(base_url=f"{one}/v1", **GIVEN) as first, OpenAI(base_url=f"{other}/v1", **GIVEN) as second:
            yield Pair(first, second, (one, other), servers)


def store_with_fact(pair: Pair) -> tuple[str, str]:
    """Id of a store, and of the file that is ready in it."""
    file = pair.one.files.create(file=("leave.md", FACT), purpose="assistants")
    assert pair.other.files.content(file.id).read() == FACT
    store = pair.other.vector_stores.create(name="handbook")
    pair.one.vector_stores.files.create(vector_store_id=store.id, file_id=file.id)
    until(lambda: pair.other.vector_stores.files.retrieve(file.id, vector_store_id=store.id).status == "completed")
    return store.id, file.id


def test_a_file_answers_through_the_other(pair: Pair) -> None:
    store, file = store_with_fact(pair)
    for client in (pair.one, pair.other):
        assert "31" in client.vector_stores.search(store, query=QUESTION).data[0].content[0].text
    tools: Any = [{"type": "file_search", "vector_store_ids": [store]}]
    asked: Any = {"input": QUESTION, "tools": tools, "include": ["file_search_call.results"], "max_output_tokens": 32}
    found, *_ = pair.other.responses.create(model="smollm2", temperature=0, **asked).output
    assert found.type == "file_search_call" and found.results and "31" in (found.results[0].text or "")
    pair.one.files.delete(file)
    assert not pair.other.vector_stores.search(store, query=QUESTION).data
    assert pair.one.vector_stores.retrieve(store).file_counts.total == 0


def test_an_upload_in_parts(pair: Pair) -> None:
    content = bytes(range(256)) * 6000
    upload = pair.one.uploads.create(bytes=len(content), filename="a.bin", mime_type="text/plain", purpose="user_data")
    halves = (content[:700_000], content[700_000:])
    parts = [client.uploads.parts.create(upload.id, data=half).id for client, half in zip((pair.one, pair.other), halves, strict=True)]
    done = pair.other.uploads.complete(upload.id, part_ids=parts)
    assert done.file is not None and pair.one.files.content(done.file.id).read() == content


def test_a_background_response_is_polled_and_gone_on_from(pair: Pair) -> None:
    begun = pair.one.responses.create(model="smollm2", input="Count to five.", background=True, max_output_tokens=16)
    ended = until(lambda: (found := pair.other.responses.retrieve(begun.id)).status not in ("queued", "in_progress") and found)
    assert ended.status in ("completed", "incomplete") and ended.output_text
    more = pair.one.responses.create(model="smollm2", input="And on?", previous_response_id=begun.id, max_output_tokens=16)
    assert [item.id for item in pair.other.responses.input_items.list(more.id).data]


def test_a_background_response_is_streamed_from_where_one_left_off_and_cancelled(pair: Pair) -> None:
    seen, rest = list[Any](), list[Any]()
    with pair.one.responses.create(**LONG, stream=True) as begun:
        while len(seen) < 7:
            seen.append(next(begun))
    id = seen[0].response.id
    with pair.other.responses.retrieve(id, stream=True, starting_after=3) as going_on:
        for event in going_on:
            rest.append(event)
            if event.sequence_number == 10:
                assert pair.other.responses.cancel(id).status == "cancelled"
    assert [event.sequence_number for event in rest] == list(range(4, 4 + len(rest)))
    assert [event.model_dump() for event in rest[:3]] == [event.model_dump() for event in seen[4:7]]
    assert rest[-1].response.status == "cancelled" == pair.one.responses.retrieve(id).status
    until(lambda: not any(metric(server, "requests_running") for server in pair.servers), 10)


def test_a_conversation(pair: Pair) -> None:
    conversation = pair.one.conversations.create(metadata={"of": "replicas"})
    told = pair.other.responses.create(model="smollm2", input="My name is Ada.", conversation=conversation.id, max_output_tokens=16)
    asked = pair.one.responses.create(model="smollm2", input="And yours?", conversation=conversation.id, max_output_tokens=16)
    assert asked.usage and told.usage and asked.usage.input_tokens > told.usage.input_tokens + 16
    items = pair.other.conversations.items.list(conversation.id, order="asc").data
    assert [item.id for item in items if item.id in (told.output[0].id, asked.output[0].id)] == [told.output[0].id, asked.output[0].id]
    assert len(items) == 4
    pair.other.conversations.delete(conversation.id)
    with httpx.Client(base_url=pair.urls[0]) as http:
        assert http.get(f"/v1/conversations/{conversation.id}").status_code == 404


def test_a_stored_chat_completion(pair: Pair) -> None:
    made = pair.one.chat.completions.create(
        model="smollm2", messages=[{"role": "user", "content": "Hello"}], store=True, metadata={"n": "1"}, max_tokens=8
    )
    assert pair.other.chat.completions.retrieve(made.id).choices[0].message.content == made.choices[0].message.content
    pair.other.chat.completions.update(made.id, metadata={"n": "2"})
    assert [one.id for one in pair.one.chat.completions.list(metadata={"n": "2"}).data] == [made.id]
    pair.one.chat.completions.delete(made.id)
    assert not pair.other.chat.completions.list(metadata={"n": "2"}).data


def test_an_approval_counts_once(pair: Pair) -> None:
    tool: Any = {"type": "mcp", "server_label": "knowledge", "allowed_tools": ["list_stores"], "require_approval": "always"}
    wanted: Any = {"type": "mcp", "server_label": "knowledge", "name": "list_stores"}
    asked = pair.one.responses.create(model="smollm2", input="Which stores are there?", tools=[tool], tool_choice=wanted, temperature=0)
    (request,) = [item for item in asked.output if item.type == "mcp_approval_request"]
    yes: Any = [{"type": "mcp_approval_response", "approval_request_id": request.id, "approve": True}]
    given: Any = {"model": "smollm2", "input": yes, "previous_response_id": asked.id, "tools": [tool], "max_output_tokens": 64}
    answered = pair.other.responses.create(**given)
    assert "mcp_call" in [item.type for item in answered.output]
    with httpx.Client(base_url=pair.urls[0]) as http:
        again = http.post("/v1/responses", json=given, timeout=60)
    assert again.status_code == 400, again.text


def test_a_batch(pair: Pair) -> None:
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4}
    lines = [{"custom_id": f"c{n}", "method": "POST", "url": "/v1/chat/completions", "body": body} for n in range(3)]
    file = pair.one.files.create(file=("in.jsonl", "\n".join(map(json.dumps, lines)).encode()), purpose="batch")
    batch = pair.other.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    done = until(lambda: (found := pair.one.batches.retrieve(batch.id)).status == "completed" and found)
    assert done.output_file_id is not None
    written = [client.files.content(done.output_file_id).read() for client in (pair.one, pair.other)]
    assert written[0] == written[1] and {json.loads(line)["custom_id"] for line in written[0].splitlines()} == {"c0", "c1", "c2"}


def test_mcp_over_http(pair: Pair) -> None:
    """Requests of one client go to both in turns."""

    def ask(url: str, method: str, params: Any, id: int | None) -> Any:
        headers = {"accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-06-18"}
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if id is None else {"id": id})
        answer = httpx.post(f"{url}/mcp/knowledge", json=message, headers=headers, timeout=60)
        assert answer.status_code in (200, 202), answer.text
        return None if id is None else json.loads(answer.text[answer.text.index("{") :])["result"]

    one, other = pair.urls
    who = {"name": "test", "version": "1"}
    assert ask(one, "initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": who}, 1)["serverInfo"]
    ask(other, "notifications/initialized", {}, None)
    assert "list_stores" in [tool["name"] for tool in ask(other, "tools/list", {}, 2)["tools"]]
    assert not ask(one, "tools/call", {"name": "list_stores", "arguments": {}}, 3).get("isError")

    async def with_client(url: str) -> None:
        async with connect(Http(url=f"{url}/mcp/knowledge")) as client:
            for _ in range(4):
                assert not (await client.call_tool("list_stores", {})).is_error

    for url in pair.urls:
        asyncio.run(with_client(url))


def test_each_measures_itself(pair: Pair) -> None:
    def answered() -> list[float]:
        return [metric(server, "generated_tokens_total") for server in pair.servers]

    def ask(url: str) -> Callable[[], httpx.Response]:
        body = {"model": "smollm2", "prompt": "Hello", "max_tokens": 2}
        return lambda: httpx.post(f"{url}/v1/completions", json=body, timeout=60)

    before = answered()
    for _ in range(4):
        assert ask(pair.urls[0])().status_code == 200
    grown = [after - at_first for after, at_first in zip(answered(), before, strict=True)]
    assert grown == ([8, 0] if pair.urls[0] != pair.urls[1] else [4, 4])
