"""An application that speaks to Anthropic's clients, and what it answers them."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anthropic
import httpx2
from starlette.applications import Starlette

from tests.server.fake_host import FakeHost, tool
from tests.server.fakes import FakeEngine, ask, ready, text, turns

T = TypeVar("T")
TEXT, THINKING = text(), text("qwen")
URL, COUNT = "/v1/messages", "/v1/messages/count_tokens"
ADD: Any = {
    "name": "add",
    "description": "Adds two numbers",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
}
LOUD: Any = {"type": "url", "name": "loud", "url": "stoa://loud"}
USER: Any = {"role": "user", "content": "Hi?"}
KEY = "k" * 20


def world(*words: str, spoken: Any = TEXT, **given: Any) -> tuple[Starlette, FakeEngine]:
    engine = FakeEngine(turns(spoken, *words), context=given.pop("context", 4096), refusal=given.pop("refusal", None))
    host = FakeHost({"loud": (tool("shout"), tool("write", read_only=False, allowed=given.pop("allowed", False))), "down": ()})
    return ready(engine, spoken, given.pop("known", None), {"tool_host": host}, **given)[0], engine


def post(*words: str, status: int = 200, path: str = URL, **body: Any) -> Any:
    given = body.pop("given", {})
    app, engine = world(*(words or ("Hi.",)), **given)
    limit = {} if path == COUNT else {"max_tokens": 400}
    answer = ask(app, "POST", path, json={"model": "tiny", "messages": [USER], **limit, **body})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["type"] == "error"
        return answer.json()["error"]
    return (events(answer.text) if body.get("stream") else answer.json()), engine


def events(stream: str) -> list[dict[str, Any]]:
    """Each is named as its data is."""
    found: list[dict[str, Any]] = []
    for one in stream.strip().split("\n\n"):
        name, data = one.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def read(engine: FakeEngine, at: int = -1) -> str:
    return TEXT.decode(engine.requests[at].tokens)


def with_sdk(app: Starlette, use: Callable[[anthropic.AsyncAnthropic], Awaitable[T]], **given: Any) -> T:
    async def run() -> T:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
        named: dict[str, Any] = {"api_key": KEY, "max_retries": 0, **given}
        async with anthropic.AsyncAnthropic(base_url="http://localhost", http_client=http, **named) as sdk:
            return await use(sdk)

    return asyncio.run(run())
