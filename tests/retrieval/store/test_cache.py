"""What a process keeps in memory of a store, and how it is renewed while it serves."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.search.dense import DenseIndex
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from retrieval.store.sqlite import caches
from retrieval.store.sqlite.cache import StoreCache, StoreChanges
from tests.retrieval.filling import WIDTH, fill, new_store
from tests.retrieval.naive import bm25, check, cosines, random_vectors


def wait_for(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Watched(DenseIndex):
    """Small segments, and a list of all that were made."""

    made: list["Watched"]

    def __init__(self, dimensions: int) -> None:
        super().__init__(dimensions, 64)
        self.made.append(self)


@pytest.fixture
def indexes(monkeypatch: pytest.MonkeyPatch) -> list[Watched]:
    made: list[Watched] = []
    monkeypatch.setattr(Watched, "made", made, raising=False)
    monkeypatch.setattr("retrieval.search.dense.DenseIndex", Watched)
    return made


def rows_of(store: Store, store_id: str, files: dict[str, Any]) -> dict[int, Any]:
    return {chunk.id: row for file, rows in files.items() for chunk, row in zip(store.chunks_of("", store_id, file), rows, strict=True)}


def test_a_large_store_gets_a_graph(tmp_path: Path, indexes: list[Watched]) -> None:
    store = open_store(tmp_path / "stoa.db", StoreOptions(hnsw_above=200))
    store_id = new_store(store)
    query = random_vectors(0, 1, WIDTH)[0]
    files: dict[str, Any] = {}
    for number in range(10):
        rows = random_vectors(number, 50, WIDTH)
        files[fill(store, store_id, [f"text {n}" for n in range(50)], filename=str(number), vectors=rows)] = rows
        check(store.dense(store_id, query, 5), cosines(rows_of(store, store_id, files), query), 5)
    wait_for(lambda: indexes[0].graph_size >= 192)
    gone = list(files)[3]
    store.remove_member("", store_id, gone)
    del files[gone]
    check(store.dense(store_id, query, 20), cosines(rows_of(store, store_id, files), query), 20)
    store.close()


def test_a_worn_cache_is_replaced(tmp_path: Path, indexes: list[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.store.sqlite.cache.MIN_REMOVED", 10)
    store = open_store(tmp_path / "stoa.db", StoreOptions(hnsw_above=100))
    store_id = new_store(store)
    texts = {name: [f"text {name} {n}" for n in range(30)] for name in "abcdefgh"}
    files = {name: fill(store, store_id, of, filename=name) for name, of in texts.items()}
    store.dense(store_id, np.ones(WIDTH, np.float32), 3)
    store.lexical(store_id, "text", 3)
    for name in "bdf":
        store.remove_member("", store_id, files.pop(name))
    store.dense(store_id, np.ones(WIDTH, np.float32), 3)
    wait_for(lambda: len(indexes) == 2 and indexes[1].graph_size > 0)
    fill(store, store_id, ["text later"])
    left = {chunk.id: chunk.text for file in files.values() for chunk in store.chunks_of("", store_id, file)}
    wait_for(lambda: len(store.dense(store_id, np.ones(WIDTH, np.float32), 500)) == len(left) + 1)
    found = store.lexical(store_id, "text", 500)
    assert {hit.chunk_id for hit in found} >= set(left)
    later = max(hit.chunk_id for hit in found)
    check(found, bm25(left | {later: "text later"}, "text"), 500)
    store.close()
    assert len(indexes) == 2, "once is enough"


def test_stores_that_are_not_used_leave_the_memory(tmp_path: Path, indexes: list[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MAX_CACHE_BYTES", 3 * 4 * WIDTH)
    store = open_store(tmp_path / "stoa.db", StoreOptions())
    both = [new_store(store), new_store(store)]
    for store_id in both:
        fill(store, store_id, ["one", "two"])
    for _ in range(2):
        for store_id in both:
            assert len(store.dense(store_id, np.ones(WIDTH, np.float32), 5)) == 2
    assert len(indexes) == 4
    assert len(store.dense(both[1], np.ones(WIDTH, np.float32), 5)) == 2
    assert len(indexes) == 4
    store.close()


def test_closing_ends_the_work_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, indexes: list[Watched]) -> None:
    asked: list[bool] = []

    def endless(_: Watched, should_continue: Callable[[], bool]) -> None:
        while should_continue():
            asked.append(True)
            time.sleep(0.01)

    monkeypatch.setattr(Watched, "graph", endless)
    store = open_store(tmp_path / "stoa.db", StoreOptions(hnsw_above=1))
    store_id = new_store(store)
    fill(store, store_id, [str(n) for n in range(70)])
    store.dense(store_id, np.ones(WIDTH, np.float32), 5)
    wait_for(lambda: bool(asked))
    store.close()
    count = len(asked)
    time.sleep(0.05)
    assert len(asked) == count


def news(since: int, words: bool) -> StoreChanges:
    """Three chunks of one word."""
    ids = np.array([2, 3, 5])
    return StoreChanges(
        generation=1,
        ids=ids,
        members=ids,
        lengths=np.ones(3, np.float32),
        vectors=random_vectors(0, 3, 4),
        words=(),
        languages=("en",) * 3,
        left=None,
    )


def test_postings_may_know_more_than_the_cache() -> None:
    """They are read by a transaction that may have begun later."""
    cache = StoreCache()
    with cache.at(1, news):
        found = cache.best("word", 9, lambda _: np.array([1, 2, 3, 4, 5, 6]), None)
    assert [hit.chunk_id for hit in found] == [2, 3, 5]


def test_a_failure_half_way_starts_over(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = StoreCache()
    with monkeypatch.context() as patched:
        patched.setattr("retrieval.store.sqlite.cache.WordIndex.add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError), cache.at(1, news):
            pass
    with cache.at(1, news):
        rows = dict(zip([2, 3, 5], random_vectors(0, 3, 4).tolist(), strict=True))
        check(cache.nearest(np.full(4, 0.5, np.float32), 9, None), cosines(rows, [1.0] * 4), 9)


def test_no_graph_without_a_full_segment(tmp_path: Path, indexes: list[Watched], monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int] = []
    monkeypatch.setattr(Watched, "graph", lambda *_: built.append(1))
    store = open_store(tmp_path / "stoa.db", StoreOptions(hnsw_above=1))
    store_id = new_store(store)
    fill(store, store_id, [str(n) for n in range(60)])
    assert len(store.dense(store_id, np.ones(WIDTH, np.float32), 100)) == 60
    store.close()
    assert not built
