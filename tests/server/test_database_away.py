"""A PostgreSQL that is killed under the server and started again: nothing is lost, and nobody has to restart anything."""

import asyncio
import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from retrieval.ingest import worker
from server.app import create_app
from server.archive.database import open_archive
from server.runtime.settings import Settings
from server.runtime.upkeep import database_monitor
from tests.retrieval.postgres_server import PostgresServer, postgres_server
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, client, runtime, says, text

TEXT = text()
CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    with postgres_server({"synchronous_commit": "on"}) as server:  # what was committed is there after a SIGKILL
        yield server


async def until(http: httpx.AsyncClient, path: str, true: Any) -> Any:
    deadline = time.monotonic() + 60
    while not true(answer := await http.get(path)):
        assert time.monotonic() < deadline, answer.text
        await asyncio.sleep(0.02)
    return answer


async def upload(http: httpx.AsyncClient, name: str) -> httpx.Response:
    return await http.post("/v1/files", files={"file": (name, b"The sea.\n" * 50)}, data={"purpose": "assistants"})


def test_a_postgres_that_is_killed_and_comes_back(own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database_monitor, "CHECK_INTERVAL", 0.05)
    monkeypatch.setattr(worker, "MAX_PAUSE_UNREACHABLE", 0.2)
    url = own_postgres.url()
    known = knowledge(where=url)

    async def scene() -> None:
        app, _ = create_app(
            Settings(),
            load=lambda _, watch: runtime(FakeEngine(says("Hi.", TEXT)), TEXT, known, archive=open_archive(known.store.transactions)),
        )
        async with app.router.lifespan_context(app), client(app) as http:
            await until(http, "/ready", lambda answer: answer.status_code == 200)
            store = (await http.post("/v1/vector_stores", json={"name": "kb"})).json()["id"]
            files = [(await upload(http, f"{n}.txt")).json()["id"] for n in range(8)]
            batch = await http.post(f"/v1/vector_stores/{store}/file_batches", json={"file_ids": files})
            assert batch.status_code == 200
            own_postgres.stop(signal.SIGKILL)
            away = await until(http, "/ready", lambda answer: answer.json()["reason"])
            assert away.status_code == 503 and away.json() == {"status": "degraded", "reason": "the database does not answer now"}
            assert (await http.get("/health")).json() == {"status": "ok", "reason": None}
            assert (await http.post("/v1/chat/completions", json=CHAT)).status_code == 200
            for answer in (
                await upload(http, "more.txt"),
                await http.post(f"/v1/vector_stores/{store}/search", json={"query": "sea"}),
                await http.get("/v1/files"),
                await http.post("/v1/responses", json={"model": "tiny", "input": "Hello"}),
                await http.get("/v1/responses/resp_1"),
            ):
                error = answer.json()["error"]
                assert (answer.status_code, error["code"]) == (503, "database_unreachable") and answer.headers["retry-after"]
                assert not any(part in answer.text for part in ("postgres", str(own_postgres.folder), "PGSQL", "socket"))
            await asyncio.sleep(0.5)
            own_postgres.start()
            await until(http, "/ready", lambda answer: answer.status_code == 200)
            done = await until(http, f"/v1/vector_stores/{store}", lambda answer: answer.json()["file_counts"]["in_progress"] == 0)
            assert done.json()["file_counts"]["completed"] == 8
            assert (await http.get("/health")).status_code == 200 and (await upload(http, "more.txt")).status_code == 200

    asyncio.run(scene())
