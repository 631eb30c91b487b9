"""The knowledge base over MCP: search, reading, lists, resources, and nobody sees what is another's."""

import json
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from mcp_servers import knowledge as served
from mcp_servers.knowledge import Opening
from retrieval.api import KnowledgeError
from retrieval.records import NewFile, NewMember, NewVectorStore, PageRequest
from server.runtime.knowledge_base import KnowledgeBase
from tests.server.fake_knowledge import knowledge

WALRUS = "Walruses sleep on ice floes.\nThey weigh more than a ton.\nTheir tusks are long.\nSeals are smaller."
pytestmark = pytest.mark.anyio
TEMPLATE = ResourceTemplateReference(type="ref/resource", uri="knowledge://{store}/{file}")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def base() -> KnowledgeBase:
    return knowledge()


async def add(base: KnowledgeBase, store: str, owner: str, name: str, text: str, **attributes: Any) -> tuple[str, str]:
    """Ids of the store, which is made unless it is there, and of the file."""
    mine = [one for one in base.store.stores(owner, PageRequest(limit=100)).items if one.name == store and one.owner == owner]
    made = mine[0] if mine else base.store.create_store(NewVectorStore(owner=owner, name=store))
    file = base.store.put_file(NewFile(owner=owner, filename=name), [text.encode()])
    base.store.add_members(owner, made.id, [NewMember(file_id=file.id, attributes=attributes)])
    await base.ingestor.drain(made.id, owner)
    return made.id, file.id


@asynccontextmanager
async def client(base: KnowledgeBase, owner: str = "") -> AsyncGenerator[Client]:
    async with Client(served.server(base, lambda context: owner)) as connected:
        yield connected


async def call(connected: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await connected.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert json.loads(getattr(result.content[-1], "text", "")) == result.structured_content
    assert result.structured_content is not None
    return result.structured_content


async def refusal(connected: Client, tool: str, **arguments: Any) -> str:
    result = await connected.call_tool(tool, arguments)
    assert result.is_error
    return getattr(result.content[0], "text", "")


async def test_search_finds_and_read_shows_what_stands_around(base: KnowledgeBase) -> None:
    store, file = await add(base, "zoo", "", "walrus.txt", WALRUS)
    async with client(base) as connected:
        found = (await call(connected, "search", query="Where do walruses sleep?"))["passages"]
        assert found[0]["filename"] == "walrus.txt" and found[0]["uri"] == f"knowledge://{store}/{file}"
        around = await call(connected, "read_passage", store="zoo", file_id=file, passage=found[0]["passage"], neighbours=1)
        assert around["text"] == WALRUS[around["start"] : around["end"]] and found[0]["text"] in around["text"]
        span = await call(connected, "read_passage", store=store, file_id=file, start=9, length=5)
        assert (span["text"], span["start"], span["end"], span["total"]) == ("sleep", 9, 14, len(WALRUS))


async def test_search_by_attributes(base: KnowledgeBase) -> None:
    await add(base, "zoo", "", "old.txt", "Walruses of old", year=1990)
    await add(base, "zoo", "", "new.txt", "Walruses of today", year=2024)
    async with client(base) as connected:
        one = await call(connected, "search", query="walruses", stores=["zoo"], attributes={"year": 2024})
        both = await call(connected, "search", query="walruses", attributes={"year": [1990, 2024]})
        assert [passage["filename"] for passage in one["passages"]] == ["new.txt"]
        assert json.dumps(one["passages"][0]["attributes"]) == '{"year": 2024}'
        assert len(both["passages"]) == 2


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_search_tells_how_far_it_is(base: KnowledgeBase, era: Any) -> None:
    await add(base, "zoo", "", "walrus.txt", WALRUS)
    await add(base, "lab", "", "seal.txt", "Seals swim")
    gate, seen = threading.Event(), list[tuple[float, float | None, str | None]]()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        seen.append((progress, total, message))
        gate.set()  # it opens when the client knows that it is waited for

    def slowly() -> KnowledgeBase:
        assert gate.wait(20)
        return base

    async with Client(served.server(Opening(slowly), lambda context: ""), mode=era) as connected:
        result = await connected.call_tool("search", {"query": "walruses", "limit": 1}, progress_callback=told)
    assert not result.is_error
    assert seen == [(0, 2, "opening the stores"), (1, 2, "stores to search: 2"), (2, 2, "passages found: 1")]


async def test_lists_go_page_by_page(base: KnowledgeBase) -> None:
    for number in range(5):
        await add(base, "zoo", "", f"{number}.txt", f"Animal number {number}")
    async with client(base) as connected:
        names, cursor = list[str](), None
        while True:
            page = await call(connected, "list_documents", store="zoo", limit=2, **({"cursor": cursor} if cursor else {}))
            names += [one["filename"] for one in page["documents"]]
            if (cursor := page.get("next_cursor")) is None:
                break
        assert names == [f"{number}.txt" for number in range(5)]
        stores = await call(connected, "list_stores")
        assert [(one["name"], one["documents"]) for one in stores["stores"]] == [("zoo", 5)]
        assert "cursor" in await refusal(connected, "list_documents", store="zoo", cursor="nonsense")


async def test_resources_across_stores(base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_servers.library.resources.PAGE", 2)
    for store in ("zoo", "lab"):
        for number in range(3):
            await add(base, store, "", f"{store}{number}.txt", f"About {store} {number}")
    async with client(base) as connected:
        names, cursor = list[str](), None
        while True:
            page = await connected.list_resources(cursor=cursor)
            names += [resource.name for resource in page.resources]
            if (cursor := page.next_cursor) is None:
                break
        assert names == [f"{store}{number}.txt" for store in ("zoo", "lab") for number in range(3)]
        first = (await connected.list_resources()).resources[0]
        content = (await connected.read_resource(first.uri)).contents[0]
        assert getattr(content, "text", "") == "About zoo 0" and content.mime_type == "text/plain"
        with pytest.raises(MCPError, match="cursor"):
            await connected.list_resources(cursor="nonsense")
        with pytest.raises(MCPError):
            await connected.read_resource("knowledge://zoo/file-0")


async def test_a_document_that_is_too_long_for_one_answer(base: KnowledgeBase, monkeypatch: pytest.MonkeyPatch) -> None:
    store, file = await add(base, "zoo", "", "walrus.txt", WALRUS)
    monkeypatch.setattr("mcp_servers.library.books.WHOLE", 10)
    async with client(base) as connected:
        with pytest.raises(MCPError, match="read_passage"):
            await connected.read_resource(f"knowledge://{store}/{file}")


async def test_completion(base: KnowledgeBase) -> None:
    store, file = await add(base, "zoo", "", "walrus.txt", WALRUS)
    async with client(base) as connected:
        stores = await connected.complete(TEMPLATE, {"name": "store", "value": "zo"})
        files = await connected.complete(TEMPLATE, {"name": "file", "value": "file-"}, context_arguments={"store": store})
        nothing = await connected.complete(PromptReference(type="ref/prompt", name="none"), {"name": "other", "value": ""})
        assert stores.completion.values == ["zoo"] and files.completion.values == [file] and nothing.completion.values == []


async def test_nobody_sees_what_is_anothers(base: KnowledgeBase) -> None:
    store, file = await add(base, "secret", "alice", "walrus.txt", WALRUS)
    await add(base, "open", "", "seal.txt", "Seals swim")
    async with client(base, "bob") as connected:
        assert [one["name"] for one in (await call(connected, "list_stores"))["stores"]] == ["open"]
        assert [one["filename"] for one in (await call(connected, "search", query="walruses"))["passages"]] == ["seal.txt"]
        assert [resource.name for resource in (await connected.list_resources()).resources] == ["seal.txt"]
        assert (await connected.complete(TEMPLATE, {"name": "store", "value": "sec"})).completion.values == []
        for arguments in ({"stores": [store]}, {"stores": ["secret"]}):
            assert "there is no vector store" in await refusal(connected, "search", query="walruses", **arguments)
        assert "there is no vector store" in await refusal(connected, "read_passage", store=store, file_id=file, start=0)
        with pytest.raises(MCPError):
            await connected.read_resource(f"knowledge://{store}/{file}")
    async with client(base, "alice") as connected:
        assert len((await call(connected, "list_stores"))["stores"]) == 2


async def test_what_is_wrong_is_told(base: KnowledgeBase) -> None:
    _, file = await add(base, "zoo", "", "walrus.txt", WALRUS)
    async with client(base) as connected:
        assert "either passage or start" in await refusal(connected, "read_passage", store="zoo", file_id=file)
        assert "counted from 0" in await refusal(connected, "read_passage", store="zoo", file_id=file, passage=99)
        assert "there is no file" in await refusal(connected, "read_passage", store="zoo", file_id="file-0", start=0)
        assert "extra" in (await refusal(connected, "search", query="walruses", surprise=1)).lower()
        assert (await call(connected, "read_passage", store="zoo", file_id=file, start=10**6))["text"] == ""


async def test_every_tool_says_what_it_is(base: KnowledgeBase) -> None:
    async with client(base) as connected:
        assert connected.instructions
        for tool in (await connected.list_tools()).tools:
            assert tool.title and tool.description and tool.output_schema
            assert tool.input_schema["additionalProperties"] is False
            assert tool.annotations is not None and tool.annotations.read_only_hint is True


async def test_an_opening_knowledge_base_answers_what_needs_none(base: KnowledgeBase) -> None:
    gate = threading.Event()

    def slowly() -> KnowledgeBase:
        assert gate.wait(10)
        return base

    async with Client(served.server(Opening(slowly), lambda context: "")) as connected:
        assert len((await connected.list_tools()).tools) == 4
        gate.set()
        assert (await call(connected, "list_stores"))["stores"] == []


async def test_what_kept_it_from_opening_is_told() -> None:
    def broken() -> KnowledgeBase:
        raise KnowledgeError("the database is of another version")

    async with Client(served.server(Opening(broken), lambda context: "")) as connected:
        assert "of another version" in await refusal(connected, "list_stores")
