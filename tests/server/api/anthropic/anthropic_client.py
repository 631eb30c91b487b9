"""A test client of /v1/messages: the application with a fake engine, called directly or through Anthropic's SDK."""

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
TOKENIZER, THINKING_TOKENIZER = text(), text("qwen")
URL, COUNT = "/v1/messages", "/v1/messages/count_tokens"
ADD: Any = {
    "name": "add",
    "description": "Adds two numbers",
    "input_schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]},
}
LOUD: Any = {"type": "url", "name": "loud", "url": "stoa://loud"}
USER: Any = {"role": "user", "content": "Hi?"}
KEY = "k" * 20


def build_app(*words: str, tokenizer: Any = TOKENIZER, **options: Any) -> tuple[Starlette, FakeEngine]:
    engine = FakeEngine(turns(tokenizer, *words), context=options.pop("context", 4096), refusal=options.pop("refusal", None))
    write = tool("write", read_only=False, allowed_by_operator=options.pop("allowed_by_operator", False))
    host = FakeHost({"loud": (tool("shout"), write), "down": ()})
    return ready(engine, tokenizer, options.pop("known", None), {"tool_host": host}, **options)[0], engine


def post(*words: str, status: int = 200, path: str = URL, **body: Any) -> Any:
    options = body.pop("options", {})
    app, engine = build_app(*(words or ("Hi.",)), **options)
    limit = {} if path == COUNT else {"max_tokens": 400}
    answer = ask(app, "POST", path, json={"model": "tiny", "messages": [USER], **limit, **body})
    assert answer.status_code == status, answer.text
    if status != 200:
        assert answer.json()["type"] == "error"
        return answer.json()["error"]
    return (parse_events(answer.text) if body.get("stream") else answer.json()), engine


def parse_events(stream: str) -> list[dict[str, Any]]:
    """Parses server-sent events; their names must be their types."""
    found: list[dict[str, Any]] = []
    for one in stream.strip().split("\n\n"):
        name, data = one.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def prompt_text(engine: FakeEngine, at: int = -1) -> str:
    return TOKENIZER.decode(engine.requests[at].tokens)


def with_sdk(app: Starlette, use: Callable[[anthropic.AsyncAnthropic], Awaitable[T]], **options: Any) -> T:
    async def run() -> T:
        http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
        named: dict[str, Any] = {"api_key": KEY, "max_retries": 0, **options}
        async with anthropic.AsyncAnthropic(base_url="http://localhost", http_client=http, **named) as sdk:
            return await use(sdk)

    return asyncio.run(run())
