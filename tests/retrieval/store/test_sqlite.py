"""What is SQLite's alone: the file, its processes, and the caches in memory."""

import random
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from retrieval.api import DatabaseFault, KnowledgeError
from retrieval.records import PageRequest
from retrieval.store import StoreOptions, open_store
from retrieval.store.catalog import Catalog
from retrieval.store.dialect import StoreState
from retrieval.store.schema import stores
from retrieval.store.sqlite.database import SQLite
from retrieval.store.sqlite.transactions import _configure
from tests.retrieval.conftest import Clock
from tests.retrieval.dangling import dangling
from tests.retrieval.filling import fill, new_store

ROOT = Path(__file__).parents[3]


def test_where(tmp_path: Path) -> None:
    store = open_store(tmp_path / "new" / "folder" / "stoa.db", StoreOptions())
    store_id = new_store(store)
    store.close()
    for same in (str(tmp_path / "new/folder/stoa.db"), f"sqlite:///{tmp_path}/new/folder/stoa.db"):
        again = open_store(same, StoreOptions())
        assert again.store("", store_id).name == "kb"
        again.close()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("mysql://me:secret@host/db", "kind 'mysql' is not supported"),
        ("sqlite://", "give the path of a SQLite file"),
        ("postgresql://me:secret@host:port/db", "the database URL cannot be read"),
    ],
)
def test_wrong_urls(where: str, reason: str) -> None:
    with pytest.raises(KnowledgeError, match=reason) as refused:
        open_store(where, StoreOptions())
    assert "secret" not in str(refused.value)


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("this is no database, and it is longer than the head of one would be" * 20)
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "text.db", tmp_path, tmp_path / "file" / "stoa.db"):
        with pytest.raises(DatabaseFault):
            open_store(path, StoreOptions())


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stoa.db"
    open_store(path, StoreOptions()).close()
    dialect = SQLite(path, 1)
    with dialect.writing() as tx:
        tx.exec_driver_sql("UPDATE facts SET value = '99' WHERE name = 'schema'")
    dialect.close()
    with pytest.raises(KnowledgeError, match=r"schema 99.*newer"):
        open_store(path, StoreOptions())


def test_how_connections_are_set_up(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "stoa.db", 1)
    dialect.prepare()
    with dialect.reading() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    dialect.close()


def test_an_error_rolls_back_and_lets_others_write(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "stoa.db", 1)
    dialect.prepare()
    with pytest.raises(ZeroDivisionError), dialect.writing() as tx:
        tx.exec_driver_sql("INSERT INTO facts VALUES ('a', 'b')")
        raise ZeroDivisionError
    with dialect.writing() as tx:
        assert tx.exec_driver_sql("SELECT count(*) FROM facts").scalar() == 1
    dialect.close()


def test_a_store_leaves_nothing_behind(tmp_path: Path) -> None:
    path, clock = tmp_path / "stoa.db", Clock()
    store = Catalog(SQLite(path, 10**9), clock)
    kept, gone, expiring = new_store(store), new_store(store), new_store(store, expires_after_days=1)
    for store_id in (kept, gone, expiring):
        fill(store, store_id, ["apples", "pears"], filename=store_id)
    store.delete_store("", gone)
    clock.now += 86_400
    store.sweep()
    assert dangling(path) == []
    assert len(store.lexical(kept, "apples", 9)) == 1
    store.close()


def test_a_search_that_began_before_a_change_does_not_hide_it_from_later_ones(tmp_path: Path) -> None:
    dialect = SQLite(tmp_path / "stoa.db", 10**9)
    store = Catalog(dialect)
    store_id = new_store(store)
    fill(store, store_id, ["apples"])
    with dialect.reading() as old:
        row = old.execute(select(stores.c.key, stores.c.generation, stores.c.removed)).mappings().one()
        fill(store, store_id, ["pears"], filename="b.txt")
        assert store.lexical(store_id, "apples", 9)
        dialect.lexical(old, StoreState(**row), "pears", 9, None)
    assert len(store.lexical(store_id, "pears", 9)) == 1
    store.close()


def run(code: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


OPEN = """
import sys, time
from retrieval.store import StoreOptions, open_store
print("ready", flush=True)
while time.time() < float(sys.argv[2]): pass
store = open_store(sys.argv[1], StoreOptions())
store.sweep()
store.close()
"""


def test_several_processes_create_it_at_once(tmp_path: Path) -> None:
    processes = [run(OPEN, tmp_path / "stoa.db", time.time() + 3) for _ in range(4)]
    assert [process.communicate()[1] for process in processes] == [""] * 4
    assert [process.returncode for process in processes] == [0] * 4


def test_connections_that_turn_on_wal_at_once_wait_for_each_other(tmp_path: Path) -> None:
    """SQLite itself does not wait here, whatever the timeout: with four at once one of sixteen fails."""

    def connect(path: Path, barrier: threading.Barrier) -> None:
        with closing(sqlite3.connect(path, timeout=60, check_same_thread=False)) as connection:
            barrier.wait()
            _configure(connection, None)

    for number in range(40):
        barrier = threading.Barrier(4)
        with ThreadPoolExecutor(4) as pool:
            for done in [pool.submit(connect, tmp_path / f"{number}.db", barrier) for _ in range(4)]:
                done.result()


WRITE = """
import sys
from retrieval.store import StoreOptions, open_store
from tests.retrieval.filling import fill
store = open_store(sys.argv[1], StoreOptions())
for number in range(10_000):
    file_id = fill(store, sys.argv[2], [f"text {number} {part}" for part in range(5)], filename=f"{sys.argv[3]}-{number}")
    print(file_id, flush=True)
    if number % 5 == 4:
        store.remove_member("", sys.argv[2], file_id)
        print("removed", file_id, flush=True)
"""


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What was acknowledged is there, and nothing else is there in part."""
    path = tmp_path / "stoa.db"
    store = open_store(path, StoreOptions())
    store_id = new_store(store)
    acknowledged: set[str] = set()
    for life in range(3):
        process = run(WRITE, path, store_id, life)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(random.uniform(0.05, 0.4))
        process.kill()
        said = [line.split() for line in process.communicate()[0].splitlines()]
        acknowledged |= {words[0] for words in said if len(words) == 1} - {words[1] for words in said if len(words) == 2}
        assert dangling(path) == []
        for job in iter(lambda: store.claim("cleaner", 30), None):
            store.fail(job, "server_error", "cut off")
    ready = {member.file_id for member in store.members("", store_id, PageRequest(limit=10_000), states=["ready"]).items}
    lost = acknowledged - ready
    assert len(lost) <= 3, "at most the one that each life was about to remove"
    found = {chunk.file_id for chunk, _ in store.hits([hit.chunk_id for hit in store.lexical(store_id, "text", 100_000)]).values()}
    assert found == ready
    store.close()
