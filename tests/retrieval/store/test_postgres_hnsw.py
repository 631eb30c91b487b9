"""The index over the vectors of a large store: built when it is missed, used, right, and gone with its store."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import psycopg
import pytest

from retrieval.api import Compare, Vectors
from retrieval.store.catalog import Catalog
from retrieval.store.postgres.database import Postgres
from tests.retrieval.filling import WIDTH, fill, new_store
from tests.retrieval.postgres_server import PostgresServer

ABOVE = 200
PARTS = 3
QUERIES = 20


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.schema()


@pytest.fixture
def opener(url: str) -> Iterator[Callable[..., Catalog]]:
    opened: list[Catalog] = []

    def open_again(options: str = "") -> Catalog:
        opened.append(Catalog(Postgres(url + options, ABOVE)))
        return opened[-1]

    yield open_again
    for store in opened:
        store.close()


def random(count: int, seed: int) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, WIDTH)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def large(store: Catalog, size: int = 600) -> tuple[str, list[str]]:
    """A store of this many chunks, and its files."""
    store_id = new_store(store)
    parts = np.split(random(size, seed=0), PARTS)
    return store_id, [
        fill(store, store_id, ["text"] * len(part), vectors=part, attributes={"part": float(i)}) for i, part in enumerate(parts)
    ]


def built(store: Catalog) -> None:
    """After what was begun is done."""
    dialect = store._dialect
    assert isinstance(dialect, Postgres)
    dialect._indexes.wait()


def indexes(url: str) -> dict[str, bool]:
    """Name to whether it is complete."""
    with psycopg.connect(url) as connection:
        query = """SELECT relname, indisvalid FROM pg_index JOIN pg_class ON indexrelid = oid
            WHERE relname LIKE '%near%' AND relnamespace = current_schema::regnamespace"""
        return dict(connection.execute(query).fetchall())


def uses(url: str) -> int:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT sum(idx_scan) FROM pg_stat_user_indexes WHERE indexrelname LIKE '%near%' AND schemaname = current_schema"
        ).fetchone()
    assert found is not None
    return int(found[0] or 0)


def recall(store: Catalog, store_id: str, expected: Vectors, filter: Compare | None = None) -> float:
    """Of the 10 nearest among `expected`."""
    hits = 0
    for query in random(QUERIES, seed=1):
        best = np.sort(-(expected @ query))[:10]
        found = store.dense(store_id, query, 10, filter)
        hits += sum(-score.score <= best[-1] + 1e-5 for score in found)
    return hits / (10 * QUERIES)


def test_it_is_built_used_and_right(opener: Callable[..., Catalog], url: str) -> None:
    store = opener()
    store_id, files = large(store)
    vectors = random(600, seed=0)
    assert recall(store, store_id, vectors) == 1.0  # exact until then
    built(store)
    assert list(indexes(url).values()) == [True]

    planned = "".join(f"%20-cenable_{way}%3Doff" for way in ("seqscan", "bitmapscan", "sort"))
    again = opener(planned)  # so few vectors would be compared one by one, rightly
    assert recall(again, store_id, vectors) > 0.95
    again.close()
    assert uses(url) == QUERIES

    again = opener()
    two = Compare(op="gte", key="part", value=1.0)  # 400 chunks: more than ABOVE
    one = Compare(op="eq", key="part", value=2.0)  # 200
    assert recall(again, store_id, vectors[200:], filter=two) > 0.95
    assert recall(again, store_id, vectors[400:], filter=one) == 1.0
    again.remove_member("", store_id, files[0])
    assert recall(again, store_id, vectors[200:]) > 0.95
    assert len(again.dense(store_id, vectors[0], 500)) == 400


def test_a_small_store_has_none_and_large_ones_each_their_own(opener: Callable[..., Catalog], url: str) -> None:
    store = opener()
    small, _ = large(store, 60)
    first, _ = large(store)
    second, _ = large(store)
    for store_id in (small, first, second, first):
        store.dense(store_id, random(1, seed=2)[0], 10)
    built(store)
    assert sorted(indexes(url)) == [f"chunk_vectors_near_{key}" for key in (2, 3)]


def test_what_is_left_over_goes_with_the_next_build(opener: Callable[..., Catalog], url: str) -> None:
    store = opener()
    gone, _ = large(store)
    kept, _ = large(store)
    for store_id in (gone, kept):
        store.dense(store_id, random(1, seed=2)[0], 10)
    built(store)
    store.delete_store("", gone)
    with psycopg.connect(url) as connection:  # as a build that was cut short leaves it
        connection.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'chunk_vectors_near_2'::regclass")
    again = opener()
    again.dense(kept, random(1, seed=2)[0], 10)
    built(again)
    assert indexes(url) == {"chunk_vectors_near_2": True}


def test_closing_does_not_wait_for_a_build(opener: Callable[..., Catalog], url: str) -> None:
    store = opener()
    store_id, _ = large(store)
    with psycopg.connect(url) as blocker:  # a build waits for transactions that have written
        blocker.execute("UPDATE store_sizes SET chunks = chunks")
        blocker.execute("DELETE FROM chunk_vectors WHERE chunk_id < 0")
        store.dense(store_id, random(1, seed=2)[0], 10)
        time.sleep(0.2)
        closing = threading.Thread(target=store.close)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
        blocker.rollback()
    assert not any(indexes(url).values())
