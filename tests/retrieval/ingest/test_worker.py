"""The worker, over a real store."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import pytest

from engine.api import EngineStopped
from retrieval.api import DatabaseFault, Document, Unreadable, Vectors
from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.records import Job, Member, NewFile, NewMember, NewVectorStore
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from tests.retrieval.plain import PlainParser, WordEmbedder

QUICK = WorkerOptions(jobs=2, poll=0.05)


@pytest.fixture
def store(where: str) -> Iterator[Store]:
    opened = open_store(where, StoreOptions())
    yield opened
    opened.close()


@pytest.fixture
def store_id(store: Store) -> str:
    return store.create_store(NewVectorStore(owner="", name="kb")).id


def put(store: Store, store_id: str, filename: str, text: str) -> str:
    file = store.put_file(NewFile(owner="", filename=filename), [text.encode()])
    store.add_members("", store_id, [NewMember(file_id=file.id)])
    return file.id


@asynccontextmanager
async def working(ingestor: Ingestor) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(ingestor.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(true: Callable[[], object], seconds: float = 18) -> None:
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(true):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scene, 20))


class Moody(PlainParser):
    """Files whose name says so do not go well."""

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        if filename.startswith("locked"):
            raise Unreadable("the document is encrypted", "unsupported_file")
        if filename.startswith("surprise"):
            raise ZeroDivisionError("a bug")
        if filename.startswith("endless"):
            await asyncio.sleep(1000)
        return await super().parse(content, filename)


def test_files_become_searchable(store: Store, store_id: str) -> None:
    files = [put(store, store_id, f"{name}.txt", f"A text about {name}.") for name in ("rivers", "sharks", "engines")]
    embedder = WordEmbedder()
    ingestor = Ingestor(store, PlainParser(), embedder, options=QUICK)
    play(ingestor.drain(store_id))
    assert store.store("", store_id).counts.completed == 3 and store.store("", store_id).identity == embedder.identity
    for file, name in zip(files, ("rivers", "sharks", "engines"), strict=True):
        (chunk,) = store.chunks_of("", store_id, file)
        assert chunk.text == f"A text about {name}." == store.text_of("", store_id, file)
        assert [found.chunk_id for found in store.lexical(store_id, name, 1)] == [chunk.id]
        query = asyncio.run(embedder.embed([name], "query"))[0]
        assert store.dense(store_id, query, 1)[0].chunk_id == chunk.id
    assert (ingestor.stats.ready, ingestor.stats.chunks, ingestor.stats.failed) == (3, 3, 0)


def test_each_failure_ends_in_a_state_with_a_reason_and_the_others_go_on(
    store: Store, store_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("locked.pdf", "surprise.txt", "empty.txt", "good.txt")
    ids = [put(store, store_id, name, "" if name == "empty.txt" else "text") for name in names]
    with caplog.at_level(logging.CRITICAL, "retrieval.ingest.worker"):
        ingestor = Ingestor(store, Moody(), WordEmbedder(), options=QUICK)
        play(ingestor.drain(store_id))
    locked, surprise, empty, good = (store.member("", store_id, file) for file in ids)
    assert (locked.state, locked.error_code, locked.error) == ("failed", "unsupported_file", "the document is encrypted")
    assert (surprise.state, surprise.error_code) == ("failed", "server_error") and "log" in (surprise.error or "")
    assert (empty.state, empty.error_code) == ("failed", "invalid_file")
    assert good.state == "ready" and ingestor.stats.failed == 3


def test_another_model_than_the_store_s_is_refused_with_what_to_do(store: Store, store_id: str) -> None:
    put(store, store_id, "a.txt", "first")
    play(Ingestor(store, PlainParser(), WordEmbedder(), options=QUICK).drain(store_id))
    other = WordEmbedder(identity=replace(WordEmbedder().identity, model="another"))
    file = put(store, store_id, "b.txt", "second")
    play(Ingestor(store, PlainParser(), other, options=QUICK).drain(store_id))
    member = store.member("", store_id, file)
    assert member.state == "failed" and "'words'" in (member.error or "") and other.texts == []


def test_whoever_is_cancelled_gives_back_his_jobs_without_counting_the_attempt(store: Store, store_id: str) -> None:
    file = put(store, store_id, "endless.txt", "text")

    async def scene() -> None:
        async with working(Ingestor(store, Moody(), WordEmbedder(), options=QUICK)):
            await until(lambda: state(store, store_id, file) == "parsing")

    for _ in range(4):  # more often than MAX_ATTEMPTS
        play(scene())
        assert state(store, store_id, file) == "queued"


def state(store: Store, store_id: str, file: str) -> str:
    return store.member("", store_id, file).state


def test_a_long_job_keeps_its_lease_and_shows_how_far_it_is(store: Store, store_id: str) -> None:
    text = "\n".join(f"Sentence number {n} is here and goes on for a while." for n in range(400))
    file = put(store, store_id, "long.txt", text)
    slow, other = WordEmbedder(pause=0.5, max_tokens=12), WordEmbedder()
    seen: set[tuple[str, float]] = set()

    async def scene() -> None:
        first, second = (Ingestor(store, PlainParser(), embedder, options=replace(QUICK, lease=2)) for embedder in (slow, other))
        async with working(first):
            await until(lambda: first.stats.active)
            async with working(second):
                await until(lambda: watch(store.member("", store_id, file)))

    def watch(member: Member) -> bool:
        seen.add((member.state, round(member.progress, 2)))
        return member.state == "ready"

    play(scene())
    assert len({progress for state, progress in seen if state == "embedding"}) >= 3
    assert len(slow.texts) == len(store.chunks_of("", store_id, file)) and other.texts == []


def test_a_job_that_is_no_longer_wanted_is_dropped(store: Store, store_id: str) -> None:
    file = put(store, store_id, "endless.txt", "text")

    async def scene() -> None:
        ingestor = Ingestor(store, Moody(), WordEmbedder(), options=QUICK)
        async with working(ingestor) as task:
            await until(lambda: ingestor.stats.active)
            await asyncio.to_thread(store.remove_member, "", store_id, file)
            await until(lambda: not ingestor.stats.active)
            again = put(store, store_id, "good.txt", "text")
            await until(lambda: state(store, store_id, again) == "ready")
            assert not task.done()

    play(scene())
    assert store.store("", store_id).counts.total == 1


def test_an_upload_does_not_wait_for_the_next_look(store: Store, store_id: str) -> None:
    async def scene() -> None:
        ingestor = Ingestor(store, PlainParser(), WordEmbedder(), options=replace(QUICK, poll=60))
        async with working(ingestor):
            await asyncio.sleep(0.1)
            file = await asyncio.to_thread(put, store, store_id, "a.txt", "text")
            await asyncio.to_thread(ingestor.wake)
            await until(lambda: state(store, store_id, file) == "ready")

    play(scene())


def test_waking_nobody_is_no_error(store: Store) -> None:
    ingestor = Ingestor(store, PlainParser(), WordEmbedder())
    ingestor.wake()

    async def scene() -> None:
        async with working(ingestor):
            await asyncio.sleep(0.05)

    play(scene())
    ingestor.wake()


def test_what_other_processes_queue_is_seen(store: Store, store_id: str, where: str) -> None:
    elsewhere = open_store(where, StoreOptions())

    async def scene() -> None:
        async with working(Ingestor(store, PlainParser(), WordEmbedder(), options=QUICK)):
            await asyncio.sleep(0.1)
            file = await asyncio.to_thread(put, elsewhere, store_id, "a.txt", "text")
            await until(lambda: state(elsewhere, store_id, file) == "ready")

    play(scene())
    elsewhere.close()


class Dead(WordEmbedder):
    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        raise EngineStopped("the encoder has ended")


def test_a_dead_encoder_ends_the_worker_and_costs_no_file(store: Store, store_id: str) -> None:
    files = [put(store, store_id, f"{n}.txt", "text") for n in range(3)]

    async def beside_a_dying_worker() -> None:
        ingestor = Ingestor(store, PlainParser(), Dead(), options=QUICK)
        worker = asyncio.create_task(ingestor.run())
        await asyncio.gather(ingestor.drain(store_id), asyncio.wait({worker}))
        worker.result()

    for _ in range(4):
        with pytest.raises(EngineStopped):
            play(Ingestor(store, PlainParser(), Dead(), options=QUICK).drain(store_id))
    assert {state(store, store_id, file) for file in files} == {"queued"}
    with pytest.raises(EngineStopped):
        play(beside_a_dying_worker())
    play(Ingestor(store, PlainParser(), WordEmbedder(), options=QUICK).drain(store_id))
    assert {state(store, store_id, file) for file in files} == {"ready"}


@dataclass
class Meeting(PlainParser):
    """Parses the second file only when the first is being embedded."""

    embedding: asyncio.Event = field(default_factory=asyncio.Event)

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        if filename == "1.txt":
            await self.embedding.wait()
        return await super().parse(content, filename)


@dataclass
class MeetingEmbedder(WordEmbedder):
    meeting: Meeting = field(default_factory=Meeting)
    parsed: asyncio.Event = field(default_factory=asyncio.Event)

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        self.meeting.embedding.set()
        if len(self.texts) == 0:
            self.texts.append("")
            await self.parsed.wait()
        self.parsed.set()
        return await super().embed(texts, kind)


def test_one_file_is_parsed_while_another_is_embedded(store: Store, store_id: str) -> None:
    for n in range(2):
        put(store, store_id, f"{n}.txt", f"text {n}")
    embedder = MeetingEmbedder()
    play(Ingestor(store, embedder.meeting, embedder, options=QUICK).drain(store_id))
    assert store.store("", store_id).counts.completed == 2


@dataclass
class Flaky:
    """A store whose database goes away now and then: the calls named in `failing`, so many times each."""

    inner: Store
    failing: dict[str, int]

    def __getattr__(self, name: str) -> Any:
        if self.failing.get(name, 0) > 0:
            return self._fail(name)
        return getattr(self.inner, name)

    def _fail(self, name: str) -> Callable[..., None]:
        def call(*_: object) -> None:
            self.failing[name] -= 1
            raise DatabaseFault("busy", "database is locked")

        return call


@pytest.mark.parametrize("call", ["claim", "complete", "read_file", "expect", "report"])
def test_a_database_that_is_away_for_a_while_costs_no_file(
    store: Store, store_id: str, call: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = put(store, store_id, "a.txt", "text")
    flaky: Any = Flaky(store, {call: 1})
    with caplog.at_level(logging.CRITICAL, "retrieval.ingest.worker"):
        play(Ingestor(flaky, PlainParser(), WordEmbedder(pause=0.7 if call == "report" else 0), options=QUICK).drain(store_id))
    assert state(store, store_id, file) == "ready" and flaky.failing == {call: 0}


def test_a_reason_that_cannot_be_stored_does_not_end_the_worker(store: Store, store_id: str, caplog: pytest.LogCaptureFixture) -> None:
    file = put(store, store_id, "locked.txt", "text")
    flaky: Any = Flaky(store, {"fail": 1})
    with caplog.at_level(logging.CRITICAL, "retrieval.ingest.worker"):
        play(Ingestor(flaky, Moody(), WordEmbedder(), options=QUICK).drain(store_id))
    assert store.member("", store_id, file).error == "the document is encrypted"


@dataclass
class SlowClaim:
    """A claim that takes its time; what it brings must not be lost with who asked for it."""

    inner: Store
    begun: bool = False

    def claim(self, worker: str, seconds: float) -> Job | None:
        job = self.inner.claim(worker, seconds)
        if job:
            self.begun = True
            time.sleep(0.2)
        return job

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_a_claim_that_comes_back_to_nobody_is_released(store: Store, store_id: str) -> None:
    file = put(store, store_id, "a.txt", "text")
    slow: Any = SlowClaim(store)

    async def scene() -> None:
        async with working(Ingestor(slow, PlainParser(), WordEmbedder(), options=QUICK)):
            await until(lambda: slow.begun)

    play(scene())
    assert state(store, store_id, file) == "queued"


def test_two_workers_share_the_queue(store: Store, store_id: str, where: str) -> None:
    elsewhere = open_store(where, StoreOptions())
    files = [put(store, store_id, f"{n}.txt", f"word{n}") for n in range(20)]
    first, second = WordEmbedder(pause=0.02), WordEmbedder(pause=0.02)

    async def scene() -> None:
        async with working(Ingestor(elsewhere, PlainParser(), second, options=QUICK)):
            await Ingestor(store, PlainParser(), first, options=QUICK).drain(store_id)

    play(scene())
    elsewhere.close()
    assert {state(store, store_id, file) for file in files} == {"ready"}
    assert len(first.texts) + len(second.texts) == 20 and first.texts and second.texts
