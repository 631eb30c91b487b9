"""/v1/conversations, over a real archive."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import openai
import pytest
from starlette.applications import Starlette

from server.archive.api import Archive
from server.archive.database import open_archive
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, ready, says, text

TOKENIZER = text()
KEYS = {"me": "a" * 20, "you": "b" * 20}
HI = {"role": "user", "content": "Hi."}


@dataclass
class ApiClient:
    app: Starlette
    archive: Archive

    def call(self, method: str, path: str, status: int = 200, who: str = "me", json: Any = None) -> Any:
        answer = ask(self.app, method, f"/v1/conversations{path}", headers={"authorization": f"Bearer {KEYS[who]}"}, json=json)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    def make(self, *items: dict[str, Any]) -> str:
        return self.call("POST", "", json={"items": list(items)})["id"]


@pytest.fixture
def api() -> Iterator[ApiClient]:
    known = knowledge()
    app, state = ready(FakeEngine(says("Hi.", TOKENIZER)), TOKENIZER, known, api_keys=tuple(KEYS.values()))
    archive = open_archive(known.store.transactions)
    assert state.runtime is not None
    state.runtime = replace(state.runtime, archive=archive)
    yield ApiClient(app, archive)
    known.store.close()


def test_a_conversation_from_birth_to_death(api: ApiClient) -> None:
    made = api.call("POST", "", json={"metadata": {"k": "v"}})
    id = made["id"]
    assert id.startswith("conv_") and made == {"id": id, "object": "conversation", "created_at": made["created_at"], "metadata": {"k": "v"}}
    assert api.call("GET", f"/{id}") == made
    assert api.call("POST", f"/{id}", json={"metadata": {"a": "b"}})["metadata"] == {"a": "b"}
    assert api.call("POST", f"/{id}", json={"metadata": None})["metadata"] == {}
    assert api.call("DELETE", f"/{id}") == {"id": id, "object": "conversation.deleted", "deleted": True}
    assert api.call("GET", f"/{id}", 404)["code"] == "conversation_not_found"


def test_they_are_listed_in_pages_for_their_owner(api: ApiClient) -> None:
    ids = [api.make() for _ in range(3)]
    api.call("POST", "", who="you", json={})
    first = api.call("GET", "?limit=2")
    assert [one["id"] for one in first["data"]] == ids[:0:-1] and first["has_more"]
    rest = api.call("GET", f"?limit=2&after={first['last_id']}")
    assert [one["id"] for one in rest["data"]] == ids[:1] and not rest["has_more"]
    assert api.call("GET", "?after=conv_nobody", 404)["code"] == "conversation_not_found"


def test_items_of_all_kinds(api: ApiClient) -> None:
    items: list[dict[str, Any]] = [
        {"role": "developer", "content": "Be good."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi."}], "id": "msg_mine"},
        {"role": "assistant", "content": "Hello."},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "Hm."}], "encrypted_content": "e"},
        {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "4"},
        {
            "type": "file_search_call",
            "id": "fs_1",
            "status": "completed",
            "queries": ["q"],
            "results": [{"file_id": "f", "filename": "a", "score": 0.5, "text": "t"}],
        },
        {"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "s", "name": "t", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
    ]
    id = api.make()
    added = api.call("POST", f"/{id}/items", json={"items": items})["data"]
    assert [item["type"] for item in added] == ["message"] * 3 + [item["type"] for item in items[3:]]
    assert [item.get("role") for item in added[:3]] == ["developer", "user", "assistant"] and added[1]["id"] == "msg_mine"
    assert added[2]["content"] == [{"type": "output_text", "text": "Hello.", "annotations": [], "logprobs": []}]
    listed = api.call("GET", f"/{id}/items?order=asc")["data"]
    assert [item["id"] for item in listed] == [item["id"] for item in added] and len({item["id"] for item in listed}) == len(items)
    assert listed[6]["results"] is None and listed[3]["encrypted_content"] is None
    everything = api.call("GET", f"/{id}/items?order=asc&include[]=file_search_call.results&include[]=reasoning.encrypted_content")
    assert everything["data"] == added
    assert api.call("GET", f"/{id}/items/fs_1?include=file_search_call.results") == added[6]
    assert api.call("GET", f"/{id}/items/fs_1")["results"] is None


def test_items_are_listed_newest_first_and_in_pages(api: ApiClient) -> None:
    id = api.make(*({**HI, "id": f"msg_{n}"} for n in range(5)))
    page = api.call("GET", f"/{id}/items?limit=2")
    assert [item["id"] for item in page["data"]] == ["msg_4", "msg_3"] == [page["first_id"], page["last_id"]] and page["has_more"]
    assert [item["id"] for item in api.call("GET", f"/{id}/items?after=msg_3")["data"]] == ["msg_2", "msg_1", "msg_0"]
    assert api.call("GET", f"/{id}/items?after=msg_9", 404)["code"] == "item_not_found"
    assert api.call("DELETE", f"/{id}/items/msg_2")["id"] == id
    assert api.call("GET", f"/{id}/items/msg_2", 404)["code"] == "item_not_found"
    assert api.call("DELETE", f"/{id}/items/msg_2", 404)["code"] == "item_not_found"


def test_what_does_not_fit_is_refused(api: ApiClient) -> None:
    id = api.make({**HI, "id": "msg_1"})
    for body, param in (
        ({"items": []}, "items"),
        ({"items": [HI] * 21}, "items"),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "items.0.type"),
        ({"items": [{"role": "user", "content": "x", "more": 1}]}, "items.0.more"),
    ):
        assert api.call("POST", f"/{id}/items", 400, json=body)["param"] == param
    assert "web_search_call" in api.call("POST", f"/{id}/items", 400, json={"items": [{"type": "web_search_call"}]})["message"]
    assert api.call("POST", f"/{id}/items", 400, json={"items": [HI, {**HI, "id": "msg_1"}]})["code"] == "conflict"
    assert len(api.call("GET", f"/{id}/items")["data"]) == 1
    assert api.call("POST", "", 400, json={"metadata": {"k": 1}})["param"] == "metadata.k"
    assert api.call("GET", f"/{id}/items?include=nothing", 400)["param"] == "include"


def test_another_finds_nothing(api: ApiClient) -> None:
    id = api.make({**HI, "id": "msg_1"})
    for method, path, body in (
        ("GET", "", None),
        ("POST", "", {"metadata": {}}),
        ("DELETE", "", None),
        ("GET", "/items", None),
        ("POST", "/items", {"items": [HI]}),
        ("GET", "/items/msg_1", None),
        ("DELETE", "/items/msg_1", None),
    ):
        assert api.call(method, f"/{id}{path}", 404, who="you", json=body)["code"] == "conversation_not_found"
    assert [one["id"] for one in api.archive.all_items(hashlib.sha256(KEYS["me"].encode()).hexdigest(), id)] == ["msg_1"]


def test_without_a_database_nothing_is_kept() -> None:
    app, _ = ready(FakeEngine(says("Hi.", TOKENIZER)), TOKENIZER)
    answer = ask(app, "POST", "/v1/conversations", json={})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "nothing_stored"


async def _with_the_sdk(app: Starlette) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(api_key=KEYS["me"], base_url="http://localhost/v1", http_client=http) as sdk:
        made = await sdk.conversations.create(metadata={"k": "v"}, items=[{"role": "user", "content": "Hi."}])
        assert (await sdk.conversations.retrieve(made.id)).metadata == {"k": "v"}
        added = await sdk.conversations.items.create(made.id, items=[{"role": "assistant", "content": "Hello."}])
        listed = [one async for one in sdk.conversations.items.list(made.id, limit=1, include=["file_search_call.results"])]
        assert [one.type for one in listed] == ["message", "message"] and listed[0].id == added.data[0].id
        assert (await sdk.conversations.items.retrieve(str(listed[0].id), conversation_id=made.id)).type == "message"
        await sdk.conversations.items.delete(str(listed[0].id), conversation_id=made.id)
        assert (await sdk.conversations.update(made.id, metadata={})).metadata == {}
        assert (await sdk.conversations.delete(made.id)).deleted


def test_the_official_sdk(api: ApiClient) -> None:
    asyncio.run(_with_the_sdk(api.app))
