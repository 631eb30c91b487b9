"""/v1/chat/completions/...: what was kept, over a real archive."""

import asyncio
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx2
import openai
import pytest
from starlette.applications import Starlette

from server.archive.api import StoredCompletion
from server.archive.database import open_archive
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
CHATS = "/v1/chat/completions"
CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
KEYS = {"me": "a" * 20, "you": "b" * 20}


@dataclass
class World:
    app: Starlette
    archive: Any

    def call(self, method: str, path: str, status: int = 200, who: str = "me", **given: Any) -> Any:
        answer = ask(self.app, method, f"{CHATS}{path}", headers={"authorization": f"Bearer {KEYS[who]}"}, **given)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    def ids(self, path: str = "", **query: Any) -> list[str]:
        return [one["id"] for one in self.call("GET", path, params=query)["data"]]


def completion(id: str, owner: str, messages: list[dict[str, Any]], **given: Any) -> StoredCompletion:
    message = {"role": "assistant", "content": "Hi.", "refusal": None}
    choices = [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}]
    body = {"id": id, "object": "chat.completion", "created": 1, "model": "tiny", "choices": choices, "metadata": None}
    plain: dict[str, Any] = {"created_at": 1, "model": "tiny", "metadata": {}, "body": body}
    return StoredCompletion(**{**plain, "id": id, "owner": owner, "messages": messages, **given})


@pytest.fixture
def world() -> Iterator[World]:
    known = knowledge()
    app, state = ready(FakeEngine(says("Hi.", TEXT)), TEXT, known, api_keys=tuple(KEYS.values()))
    archive = open_archive(known.store.transactions)
    assert state.runtime is not None
    state.runtime = replace(state.runtime, archive=archive)
    me, you = (hashlib.sha256(key.encode()).hexdigest() for key in KEYS.values())
    question = [
        {"id": "m1", "role": "system", "content": "Be good."},
        {"id": "m2", "role": "user", "content": [{"type": "text", "text": "Hi?"}], "name": "Ann"},
        {"id": "m3", "role": "assistant", "content": None, "tool_calls": [CALL]},
        {"id": "m4", "role": "tool", "content": "4", "tool_call_id": "call_1"},
    ]
    archive.put_completion(completion("c1", me, question, metadata={"k": "v", "n": "1"}))
    archive.put_completion(completion("c2", me, [], metadata={"k": "v"}, model="other"))
    archive.put_completion(completion("c3", you, []))
    yield World(app, archive)
    known.store.close()


def test_lists(world: World) -> None:
    page = world.call("GET", "", params={"limit": 1})
    assert (page["object"], page["first_id"], page["last_id"], page["has_more"]) == ("list", "c1", "c1", True)
    assert world.ids() == ["c1", "c2"] and world.ids(order="desc") == ["c2", "c1"] and world.ids(after="c1") == ["c2"]
    assert world.ids(model="other") == ["c2"] and world.ids(**{"metadata[k]": "v", "metadata[n]": "1"}) == ["c1"]
    assert world.call("GET", "", who="you")["data"][0]["id"] == "c3"
    assert world.call("GET", "?metadata[k]=a&metadata[k]=b", 400)["param"] == "metadata"
    assert world.call("GET", "?metadata=a", 400)["param"] == "metadata"
    assert world.call("GET", "?limit=0", 400)["param"] == "limit"
    assert world.call("GET", "?after=c3", 404)["code"] == "chat_completion_not_found"


def test_one_from_here_to_its_end(world: World) -> None:
    assert world.call("GET", "/c1")["metadata"] == {"k": "v", "n": "1"}
    assert world.call("POST", "/c1", json={"metadata": {"a": "b"}})["metadata"] == {"a": "b"} == world.call("GET", "/c1")["metadata"]
    assert world.call("POST", "/c1", json={"metadata": None})["metadata"] == {}
    assert world.call("POST", "/c1", 400, json={})["param"] == "metadata"
    for method, body in (("GET", None), ("DELETE", None), ("POST", {"metadata": {}})):
        assert world.call(method, "/c3", 404, json=body)["code"] == "chat_completion_not_found"
    assert world.call("DELETE", "/c1") == {"id": "c1", "object": "chat.completion.deleted", "deleted": True}
    assert world.call("GET", "/c1", 404)["code"] == "chat_completion_not_found"


def test_messages(world: World) -> None:
    system, user, called, result = world.call("GET", "/c1/messages")["data"]
    assert (system["content"], system["content_parts"], user["name"]) == ("Be good.", None, "Ann")
    assert (user["content"], user["content_parts"]) == (None, [{"type": "text", "text": "Hi?"}])
    assert called["tool_calls"] == [CALL] and result["tool_call_id"] == "call_1"
    assert "tool_calls" not in user
    assert world.ids("/c1/messages", order="desc", limit=2) == ["m4", "m3"]
    assert world.ids("/c1/messages", order="desc", after="m3") == ["m2", "m1"]
    assert world.call("GET", "/c1/messages?after=x", 404)["code"] == "message_not_found"
    assert world.call("GET", "/c2/messages") == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}


def test_what_was_stored_with_the_answer_is_told_again(world: World) -> None:
    body = {"model": "tiny", "messages": [{"role": "user", "content": "Hi?"}], "store": True, "metadata": {"k": "new"}}
    made = world.call("POST", "", json=body)
    assert world.call("GET", f"/{made['id']}") == made and world.ids(**{"metadata[k]": "new"}) == [made["id"]]
    (message,) = world.call("GET", f"/{made['id']}/messages")["data"]
    assert (message["role"], message["content"]) == ("user", "Hi?")
    assert world.call("POST", "", json={**body, "store": False})["id"] not in world.ids()


async def _with_the_sdk(app: Starlette) -> None:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    async with openai.AsyncOpenAI(api_key=KEYS["me"], base_url="http://localhost/v1", http_client=http) as sdk:
        assert [one.id async for one in sdk.chat.completions.list(metadata={"k": "v"}, limit=1)] == ["c1", "c2"]
        assert (await sdk.chat.completions.retrieve("c1")).choices[0].message.content == "Hi."
        assert (await sdk.chat.completions.update("c1", metadata={"x": "y"})).metadata == {"x": "y"}
        assert [one.id async for one in sdk.chat.completions.messages.list("c1", limit=3)] == ["m1", "m2", "m3", "m4"]
        assert (await sdk.chat.completions.delete("c1")).deleted


def test_the_official_sdk(world: World) -> None:
    asyncio.run(_with_the_sdk(world.app))
