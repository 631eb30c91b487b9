"""Several processes and threads at one PostgreSQL database: nobody gets another's work, nobody waits for ever."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest

from retrieval.api import Conflict, NotFound
from retrieval.records import NewMember, PageRequest
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from tests.retrieval.filling import claim, new_store, outcome, put
from tests.retrieval.postgres_server import PostgresServer

ROOT = Path(__file__).parents[3]
WORKER = """
import sys
from retrieval.store import StoreOptions, open_store
from tests.retrieval.filling import outcome
store = open_store(sys.argv[1], StoreOptions())
while (job := store.claim(sys.argv[2], 60)) is not None:
    assert store.report(job, "embedding", 0.5, 60)
    assert store.complete(job, outcome([f"{job.filename} read", "and more of it"]))
    print(job.file_id, job.attempts)
store.close()
"""


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.schema()


def queue(store: Store, store_ids: list[str], count: int) -> list[str]:
    ids = [put(store, filename=f"{number}.txt") for number in range(count)]
    for store_id in store_ids:
        store.add_members("", store_id, [NewMember(file_id=id) for id in ids])
    return ids


def sizes(url: str) -> list[tuple]:
    """Of each store, as it is kept and as it is."""
    with psycopg.connect(url) as connection:
        query = """SELECT chunks, words, (SELECT count(*) FROM chunk_vectors v WHERE v.store_key = s.store_key), w.n, w.length
            FROM store_sizes s,
            LATERAL (SELECT count(*) n, coalesce(sum(length), 0) length FROM chunk_words w WHERE w.store_key = s.store_key) w"""
        return connection.execute(query.encode()).fetchall()


def test_processes_share_the_queue(url: str) -> None:
    with closing(open_store(url, StoreOptions())) as store:
        store_ids = [new_store(store), new_store(store)]
        ids = queue(store, store_ids, 30)
        commands = [[sys.executable, "-c", WORKER, url, f"worker-{number}"] for number in range(3)]
        running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for command in commands]
        done = [line.split() for process in running for line in process.communicate(timeout=60)[0].splitlines()]
        assert [process.returncode for process in running] == [0, 0, 0]
        assert Counter(file_id for file_id, _ in done) == dict.fromkeys(ids, 2)
        assert {attempts for _, attempts in done} == {"1"}
        for store_id in store_ids:
            assert store.store("", store_id).counts.completed == 30
            assert len(store.lexical(store_id, "read", 100)) == 30
    assert all(row[0] == row[2] == row[3] == 60 and row[1] == row[4] for row in sizes(url))


def test_a_claimed_job_is_nobody_elses_until_its_lease_ends(url: str) -> None:
    with closing(open_store(url, StoreOptions())) as store:
        queue(store, [new_store(store)], 41)
        before = claim(store, 0.0)
        time.sleep(0.01)
        with ThreadPoolExecutor(8) as threads:
            jobs = [job for job in threads.map(lambda number: store.claim(f"thread-{number}", 60), range(50)) if job is not None]
        assert len({job.member_key for job in jobs}) == len({job.ticket for job in jobs}) == len(jobs) == 41
        (again,) = [job for job in jobs if job.member_key == before.member_key]
        assert (before.attempts, again.attempts) == (1, 2)
        assert not store.complete(before, outcome(["too late"]))
        assert store.complete(again, outcome(["in time"]))


def test_adding_reading_and_removing_the_same_files_at_once(url: str) -> None:
    """Nothing deadlocks, nothing is left over."""
    with closing(open_store(url, StoreOptions())) as store:
        store_ids = [new_store(store), new_store(store)]
        ids = queue(store, store_ids, 6)
        deadline = time.monotonic() + 3
        tasks: list[Callable[[int], object]] = [
            lambda turn: store.add_members("", store_ids[turn % 2], [NewMember(file_id=id) for id in ids[turn % 4 :]], batch=True),
            lambda turn: store.remove_member("", store_ids[turn % 2], ids[turn % 6]),
            lambda turn: work(store),
            lambda turn: work(store),
            lambda turn: renew(store, ids, turn % 6),
            lambda turn: [store.lexical(store_id, "read", 10) for store_id in store_ids],
        ]

        def again_and_again(task: Callable[[int], object]) -> int:
            turn = 0
            while time.monotonic() < deadline:
                with suppress(NotFound, Conflict):
                    task(turn)
                turn += 1
            return turn

        with ThreadPoolExecutor(len(tasks)) as threads:
            assert min(threads.map(again_and_again, tasks)) > 3
        while work(store):
            pass
        for store_id in store_ids:
            there = store.members("", store_id, PageRequest(limit=100)).items
            assert {member.state for member in there} <= {"ready"}
            assert len(store.lexical(store_id, "read", 100)) == len(there)
    assert all(row[0] == row[2] == row[3] and row[1] == row[4] for row in sizes(url))


def work(store: Store) -> bool:
    job = store.claim("thread", 60)
    if job is None:
        return False
    store.complete(job, outcome([f"{job.filename} read", "and more of it"]))
    return True


def renew(store: Store, ids: list[str], number: int) -> None:
    old, ids[number] = ids[number], put(store, filename=f"{number}.txt")
    store.delete_file("", old)
