"""Batches that are cancelled, run out of time, are left by their process, or meet requests: in SQLite and PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.api import IDLE_PRIORITY, Delta, EngineStopped, QueueFull, Request
from server.archive.batches.records import MAX_ATTEMPTS
from tests.retrieval.postgres_server import PostgresServer, postgres_server
from tests.server.api.batches.batch_world import CHAT, TEXT, BatchServer, echo, line, server
from tests.server.fakes import FakeEngine

Check = Callable[[], Awaitable[bool]]


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as made:
        yield made


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "stoa.db") if request.param == "sqlite" else request.getfixturevalue("postgres").schema()


async def until(check: Check) -> None:
    async with asyncio.timeout(120):
        while not await check():
            await asyncio.sleep(0.01)


async def until_running(api: BatchServer, count: int) -> None:
    async def enough() -> bool:
        return api.engine.running >= count

    await until(enough)


async def until_done(api: BatchServer, batch_id: str, count: int) -> None:
    async def enough() -> bool:
        return (await api.get(batch_id))["request_counts"]["completed"] >= count

    await until(enough)


class Halting(FakeEngine):
    """Answers `left` requests, then keeps every one waiting."""

    left = 0

    async def generate(self, request: Request) -> AsyncGenerator[Delta]:
        self.left -= 1
        if self.left < 0:
            self.running += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.running -= 1
        async for delta in super().generate(request):
            yield delta


def halting(left: int) -> FakeEngine:
    made = Halting(echo)
    made.left = left
    return made


def test_what_was_answered_before_a_cancellation_is_kept(where: str) -> None:
    async def run() -> None:
        async with server(halting(2), where, batch_sequences=1) as api:
            batch = await api.create([line(f"{i}") for i in range(5)])
            await until_done(api, batch["id"], 2)
            await until_running(api, 1)
            asked = await api.ask("POST", f"/v1/batches/{batch['id']}/cancel")
            assert asked["status"] in ("cancelling", "cancelled") and asked["cancelling_at"]
            done = await api.ended(batch["id"])
            assert done["status"] == "cancelled" and done["cancelled_at"] and api.engine.running == 0
            assert done["request_counts"] == {"total": 5, "completed": 2, "failed": 3}
            assert [one["custom_id"] for one in await api.lines(done["output_file_id"])] == ["0", "1"]
            left = await api.lines(done["error_file_id"])
            assert [(one["custom_id"], one["response"], one["error"]["code"]) for one in left] == [
                (f"{i}", None, "batch_cancelled") for i in (2, 3, 4)
            ]
            again = await api.ask("POST", f"/v1/batches/{batch['id']}/cancel")
            assert again == done
            finished = await api.ended((await api.create([{**line("x"), "method": "PUT"}]))["id"])
            assert "failed" in (await api.ask("POST", f"/v1/batches/{finished['id']}/cancel", 400))["message"]

    asyncio.run(run())


def test_what_was_answered_in_time_is_kept(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.batches.endpoints.HOUR", 1)  # so that the window is over soon

    async def run() -> None:
        async with server(halting(2), where, batch_sequences=1) as api:
            batch = await api.create([line(f"{i}") for i in range(4)], completion_window="4h")
            done = await api.ended(batch["id"])
            assert done["status"] == "expired" and done["expired_at"] >= done["expires_at"] == done["created_at"] + 4
            assert done["request_counts"] == {"total": 4, "completed": 2, "failed": 2}
            assert [one["custom_id"] for one in await api.lines(done["output_file_id"])] == ["0", "1"]
            assert [one["error"]["code"] for one in await api.lines(done["error_file_id"])] == ["batch_expired"] * 2
            assert "cannot be cancelled" in (await api.ask("POST", f"/v1/batches/{batch['id']}/cancel", 400))["message"]

    asyncio.run(run())


def test_another_process_goes_on(where: str) -> None:
    """And answers only what was not answered."""

    async def run() -> None:
        async with server(halting(3), where, batch_sequences=2) as first:
            batch = await first.create([line(f"{i}", word="red") for i in range(8)])
            await until_done(first, batch["id"], 3)
            await until_running(first, 2)
        async with server(FakeEngine(echo), where, batch_sequences=2) as second:
            done = await second.ended(batch["id"])
            assert done["status"] == "completed" and done["request_counts"] == {"total": 8, "completed": 8, "failed": 0}
            assert len(second.engine.requests) == 5
            assert [one["custom_id"] for one in await second.lines(done["output_file_id"])] == [f"{i}" for i in range(8)]

    asyncio.run(run())


def test_several_processes_share_the_batches(where: str) -> None:
    """Each is worked on by one of them only."""

    async def run() -> None:
        async with server(FakeEngine(echo), where) as first, server(FakeEngine(echo), where) as second:
            words = [f"{i}" for i in range(10)]
            ids = [(await one.create([line(f"{n}-{word}", word) for word in words]))["id"] for n, one in enumerate([first, second] * 3)]
            for n, batch_id in enumerate(ids):
                done = await second.ended(batch_id)
                assert done["request_counts"] == {"total": 10, "completed": 10, "failed": 0}
                assert [one["custom_id"] for one in await first.lines(done["output_file_id"])] == [f"{n}-{word}" for word in words]
            asked = [*first.engine.requests, *second.engine.requests]
            assert len(asked) == 60 and set(Counter(request.tokens for request in asked).values()) == {6}

    asyncio.run(run())


def test_a_cancellation_reaches_the_process_that_works(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.batches.job.RENEWAL_SECONDS", 0.1)

    async def run() -> None:
        async with server(halting(0), where) as first:
            batch = await first.create([line("a")])
            await until_running(first, 1)
            async with server(halting(0), where) as second:
                await second.ask("POST", f"/v1/batches/{batch['id']}/cancel")
                assert (await second.ended(batch["id"]))["status"] == "cancelled"
                assert (first.engine.running, second.engine.requests) == (0, [])

    asyncio.run(run())


def test_a_line_that_kills_its_processes_is_given_up(where: str) -> None:
    """The lines beside it are not."""

    async def run() -> None:
        async with server(halting(0), where, batch_sequences=4) as first:
            batch = await first.create([line(f"{i}") for i in range(4)])
            await until_running(first, 4)
            archive = first.state.expect_ready().archive
            assert archive is not None
            for _ in range(MAX_ATTEMPTS - 1):  # as processes that die with the first line leave it
                with archive._transactions.writing() as tx:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
                    tx.exec_driver_sql("UPDATE batch_lines SET attempts = attempts + 1 WHERE number = 1")  # pyright: ignore[reportUnknownMemberType]
            with archive._transactions.writing() as tx:  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownVariableType]
                tx.exec_driver_sql("UPDATE batch_lines SET attempts = attempts + 1")  # pyright: ignore[reportUnknownMemberType]
        most = Counter[int]()

        class Watching(FakeEngine):
            async def generate(self, request: Request) -> AsyncGenerator[Delta]:
                async for delta in super().generate(request):
                    most[self.running] += 1
                    yield delta

        async with server(Watching(echo, pause=0.001), where, batch_sequences=4) as second:
            done = await second.ended(batch["id"])
            assert done["request_counts"] == {"total": 4, "completed": 3, "failed": 1}
            (given_up,) = await second.lines(done["error_file_id"])
            assert given_up["custom_id"] == "0" and given_up["error"]["code"] == "server_error"
            assert set(most) == {1}  # those that were tried before run alone

    asyncio.run(run())


def test_requests_come_first() -> None:
    """No line begins while a request is in progress, and what has begun has the lowest priority."""

    async def run() -> None:
        async with server(FakeEngine(echo), batch_sequences=2) as api:
            with api.state.count_request():
                batch = await api.create([line(f"{i}") for i in range(6)])
                body = {"model": "tiny", "messages": [{"role": "user", "content": "Say sun"}]}
                for _ in range(20):
                    await api.ask("POST", CHAT, json=body)
                assert {request.priority for request in api.engine.requests} == {0}
                assert (await api.get(batch["id"]))["request_counts"]["completed"] == 0
            await api.ended(batch["id"])
            assert [request.priority for request in api.engine.requests[20:]] == [IDLE_PRIORITY] * 6

    asyncio.run(run())


def test_owners_take_turns() -> None:
    """The long batch of one key, and another before it, do not hold up the short one of another key."""

    async def run() -> None:
        async with server(FakeEngine(echo, pause=0.001), batch_sequences=1, api_keys=("k", "l")) as api:
            api.http.headers["Authorization"] = "Bearer k"
            long = [(await api.create([line(f"{i}") for i in range(150)]))["id"] for _ in range(2)]
            api.http.headers["Authorization"] = "Bearer l"
            done = await api.ended((await api.create([line("a"), line("b")]))["id"])
            assert done["status"] == "completed"
            api.http.headers["Authorization"] = "Bearer k"
            assert {(await api.get(one))["status"] for one in long} == {"in_progress"}
            for one in long:
                await api.ask("POST", f"/v1/batches/{one}/cancel")

    asyncio.run(run())


def test_what_passes_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.api.batches.line.LONGEST_PAUSE", 0.01)

    async def run(refusal: Any, tries: int, status: int) -> None:
        engine = FakeEngine(echo, refusal=refusal)
        async with server(engine) as api:
            batch = await api.create([line("a")])

            async def tried() -> bool:
                return len(engine.requests) >= tries

            await until(tried)
            if status == 200:
                engine.refusal = None
            done = await api.ended(batch["id"])
            (only,) = await api.lines(done["output_file_id"] if status == 200 else done["error_file_id"])
            assert only["response"]["status_code"] == status

    asyncio.run(run(QueueFull("no place"), 3, 200))
    asyncio.run(run(QueueFull("no place"), 8, 503))
    asyncio.run(run(EngineStopped("it stops"), 30, 200))  # only a restart helps: no line is to blame


def test_the_words_of_the_model_stay_on_one_line() -> None:
    words = 'two\nlines\u2028and "three"'

    async def run() -> None:
        async with server(FakeEngine(lambda _: [*TEXT.encode(words), *TEXT.encode("<|im_end|>", parse_special=True)])) as api:
            done = await api.ended((await api.create([line('"\u2028\\', word="é")]))["id"])
            content = (await api.http.get(f"/v1/files/{done['output_file_id']}/content")).content
            assert content.count(b"\n") == 1 == len(content.strip().split(b"\n"))

    asyncio.run(run())
