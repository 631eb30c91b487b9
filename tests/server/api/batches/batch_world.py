"""Servers without models that work on batches, each an application with its worker, over one database or several."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from engine.api import Request
from server.archive.database import open_archive
from server.runtime.state import ServerState
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, client, ready, text

TEXT = text()
CHAT = "/v1/chat/completions"
ENDED = ("completed", "failed", "expired", "cancelled")
PATIENCE = 120.0  # seconds


def echo(request: Request) -> list[int]:
    """Says the last word of the question."""
    words = TEXT.decode(request.tokens).replace("<|im_end|>", " ").split()
    return [*TEXT.encode(words[-2]), *TEXT.encode("<|im_end|>", parse_special=True)]


def line(custom_id: str, word: str = "Hi", url: str = CHAT, method: str = "POST", **body: Any) -> dict[str, Any]:
    asked = {"model": "tiny", "messages": [{"role": "user", "content": f"Say {word}"}]} if url == CHAT else {"model": "tiny"}
    return {"custom_id": custom_id, "method": method, "url": url, "body": {**asked, **body}}


def jsonl(lines: Iterable[Any]) -> bytes:
    return b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines)


@dataclass
class BatchServer:
    http: httpx.AsyncClient
    state: ServerState
    engine: FakeEngine

    async def ask(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        answer = await self.http.request(method, path, **given)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    async def upload(self, lines: Iterable[Any], purpose: str = "batch") -> str:
        files = {"file": ("requests.jsonl", jsonl(lines))}
        return (await self.ask("POST", "/v1/files", files=files, data={"purpose": purpose}))["id"]

    async def create(self, lines: Iterable[Any], status: int = 200, **given: Any) -> Any:
        plain = {"endpoint": CHAT, "completion_window": "24h"}
        file_id = given.pop("input_file_id", None) or await self.upload(lines)
        return await self.ask("POST", "/v1/batches", status, json={**plain, "input_file_id": file_id, **given})

    async def get(self, batch_id: str) -> Any:
        return await self.ask("GET", f"/v1/batches/{batch_id}")

    async def ended(self, batch_id: str) -> Any:
        async with asyncio.timeout(PATIENCE):
            while (batch := await self.get(batch_id))["status"] not in ENDED:
                await asyncio.sleep(0.02)
        return batch

    async def lines(self, file_id: str) -> list[Any]:
        answer = await self.http.get(f"/v1/files/{file_id}/content")
        assert answer.status_code == 200, answer.text
        return [json.loads(text) for text in answer.text.splitlines()]


@asynccontextmanager
async def server(engine: FakeEngine | None = None, where: str | Path | None = None, **settings: Any) -> AsyncGenerator[BatchServer]:
    """With its worker."""
    engine = engine or FakeEngine(echo)
    known = knowledge(where=where)
    app, state = ready(engine, TEXT, known, {"archive": open_archive(known.store.transactions)}, **settings)
    runtime = state.runtime
    assert runtime is not None
    workers = [asyncio.create_task(worker(runtime)) for worker in state._workers]
    try:
        async with AsyncExitStack() as stack:
            yield BatchServer(await stack.enter_async_context(client(app)), state, engine)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        known.store.close()
