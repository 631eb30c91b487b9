"""Search in a store gives what its definition says, whatever was added, replaced and removed before."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from retrieval.api import Chunking, Combine, Compare, Filter, NotFound, WrongModel
from retrieval.records import NewMember
from retrieval.search.filters import matches
from retrieval.store.api import Store
from tests.retrieval.filling import WIDTH, claim, fill, new_store, outcome, put
from tests.retrieval.naive import bm25, check, cosines, random_vectors

TEXTS = ["the boundary layer", "a layer of boundary layers", "supersonic flow past the AB-123", "flow, flows, flowing", "nothing else"]


def ids_of(store: Store, store_id: str, file_id: str) -> list[int]:
    return [chunk.id for chunk in store.chunks_of("", store_id, file_id)]


def test_dense_is_exact_cosine(store: Store) -> None:
    store_id = new_store(store)
    rows = random_vectors(0, 40, WIDTH) * np.random.default_rng(1).uniform(0.1, 9, (40, 1)).astype(np.float32)
    file_id = fill(store, store_id, [f"text {n}" for n in range(40)], vectors=rows)
    named = dict(zip(ids_of(store, store_id, file_id), rows.tolist(), strict=True))
    for limit in (1, 7, 40, 100):
        query = np.random.default_rng(limit).standard_normal(WIDTH)
        check(store.dense(store_id, query.astype(np.float32) * 3, limit), cosines(named, query.tolist()), limit)


def test_a_vector_of_zeros_is_near_nothing(store: Store) -> None:
    store_id = new_store(store)
    rows = np.stack([np.zeros(WIDTH), np.ones(WIDTH), -np.ones(WIDTH)]).astype(np.float32)
    fill(store, store_id, ["zero", "same", "opposite"], vectors=rows)
    assert [round(hit.score, 5) for hit in store.dense(store_id, np.ones(WIDTH, np.float32), 3)] == [1, 0, -1]
    assert [hit.score for hit in store.dense(store_id, np.zeros(WIDTH, np.float32), 3)] == [0, 0, 0]


def test_lexical_is_bm25(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, TEXTS)
    named = dict(zip(ids_of(store, store_id, file_id), TEXTS, strict=True))
    for query in ("boundary layer", "flow", "ab-123", "flow flow layer", "layer unknownword", "the", "unknownword", "", "NOTHING else!"):
        for limit in (1, 2, 10):
            check(store.lexical(store_id, query, limit), bm25(named, query), limit)


def test_query_syntax_is_text(store: Store) -> None:
    """Nothing of it means anything to SQLite's or PostgreSQL's full-text search."""
    store_id = new_store(store)
    file_id = fill(store, store_id, ['NEAR the end OR "quoted" col:val -minus ^up* (a AND b) it\'s \\ & | !'])
    for query in ('"', "quoted OR", "col:val", "-minus", "NEAR(", "up*", "' OR 1=1 --", "a & b | !c", "\\", "it's", "1:near"):
        for hit in store.lexical(store_id, query, 10):
            assert hit.chunk_id in ids_of(store, store_id, file_id)
    assert store.lexical(store_id, "quoted", 10)
    assert store.lexical(store_id, "col:val", 10)
    assert not store.lexical(store_id, "up1 quo*", 10)


def test_codes_scripts_and_accents_are_found(store: Store) -> None:
    store_id = new_store(store)
    texts = ["part AB-123 and AB-124", "東京都に住んでいます", "Müller in Zürich", "हिन्दी में खोज", "price 1,000.50", "don't o'neill"]
    ids = ids_of(store, store_id, fill(store, store_id, texts))
    queries = {"ab-123": 0, "東京": 1, "zurich": 2, "खोज": 3, "1000.50": 4, "O’Neill": 5}
    for query, place in queries.items():
        assert store.lexical(store_id, query, 1)[0].chunk_id == ids[place], query


def test_title_and_headings_are_found_too(store: Store) -> None:
    store_id = new_store(store)
    store.add_members("", store_id, [NewMember(file_id=put(store))])
    store.complete(claim(store), outcome(["some text"], title="Annual report"))
    assert store.lexical(store_id, "annual reports", 5)


def test_stores_do_not_mix(store: Store) -> None:
    first, second = new_store(store), new_store(store)
    one, two = fill(store, first, ["apples here"]), fill(store, second, ["apples there", "pears"], filename="b.txt")
    assert [hit.chunk_id for hit in store.lexical(first, "apples", 9)] == ids_of(store, first, one)
    assert {hit.chunk_id for hit in store.dense(second, np.ones(WIDTH, np.float32), 9)} == set(ids_of(store, second, two))
    texts = dict(zip(ids_of(store, second, two), ["apples there", "pears"], strict=True))
    check(store.lexical(second, "apples", 9), bm25(texts, "apples"), 9)


def test_an_empty_and_an_unknown_store(store: Store) -> None:
    store_id = new_store(store)
    assert store.dense(store_id, np.ones(WIDTH, np.float32), 5) == []
    assert store.lexical(store_id, "text", 5) == []
    assert store.hits([]) == {}
    assert len(store.vectors([])[0]) == 0
    with pytest.raises(NotFound):
        store.dense("vs_no", np.ones(WIDTH, np.float32), 5)
    with pytest.raises(NotFound):
        store.lexical("vs_no", "text", 5)


def test_a_question_of_another_width_is_refused(store: Store) -> None:
    store_id = new_store(store)
    fill(store, store_id, ["text"])
    with pytest.raises(WrongModel, match="have 8 dimensions, the one to look for 3"):
        store.dense(store_id, np.ones(3, np.float32), 5)


def test_hits_and_vectors(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, TEXTS, attributes={"n": 1})
    ids = ids_of(store, store_id, file_id)
    found = store.hits([ids[3], 10**9, ids[0]])
    assert {id: (chunk.text, attributes) for id, (chunk, attributes) in found.items()} == {
        ids[3]: (TEXTS[3], {"n": 1}),
        ids[0]: (TEXTS[0], {"n": 1}),
    }
    known, rows = store.vectors([ids[2], 10**9, ids[1]])
    assert sorted(known.tolist()) == [ids[1], ids[2]]
    assert rows.dtype == np.float32
    expected = outcome(TEXTS).vectors[[ids.index(id) for id in known.tolist()]]
    assert np.allclose(rows, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)


@pytest.mark.parametrize(
    "filter",
    [
        Compare(op="eq", key="n", value=2),
        Compare(op="gte", key="n", value=3),
        Compare(op="in", key="who", value=("a", "b")),
        Compare(op="ne", key="who", value="a"),
        Compare(op="eq", key="who", value="nobody"),
        Combine(op="and", filters=(Compare(op="lt", key="n", value=5), Compare(op="nin", key="who", value=("a",)))),
        Combine(op="or", filters=(Compare(op="eq", key="n", value=0), Compare(op="eq", key="flag", value=True))),
    ],
)
def test_filters(store: Store, filter: Filter) -> None:
    store_id = new_store(store)
    given = [{"n": n, "who": "abc"[n % 3]} | ({"flag": n > 3} if n % 2 else {}) for n in range(6)]
    files = [fill(store, store_id, [f"apples {n}", f"pears {n}"], filename=str(n), attributes=a) for n, a in enumerate(given)]
    texts = {
        id: f"{fruit} {n}"
        for n, file in enumerate(files)
        for id, fruit in zip(ids_of(store, store_id, file), ("apples", "pears"), strict=True)
    }
    allowed = {id for a, file in zip(given, files, strict=True) if matches(filter, a) for id in ids_of(store, store_id, file)}
    words = {id: score for id, score in bm25(texts, "apples 3").items() if id in allowed}
    check(store.lexical(store_id, "apples 3", 4, filter), words, 4)
    found = store.dense(store_id, np.ones(WIDTH, np.float32), 100, filter)
    assert {hit.chunk_id for hit in found} == allowed


def test_a_filter_sees_changed_attributes(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["apples"], attributes={"n": 1})
    two = Compare(op="eq", key="n", value=2)
    assert not store.lexical(store_id, "apples", 5, two)
    store.change_member("", store_id, file_id, {"n": 2})
    assert store.lexical(store_id, "apples", 5, two)
    assert store.dense(store_id, np.ones(WIDTH, np.float32), 5, two)


def test_what_another_process_did_is_seen(opener: Callable[[], Store]) -> None:
    ours, theirs = opener(), opener()
    store_id = new_store(ours)
    first = fill(ours, store_id, ["apples one"])
    for store in (ours, theirs):
        assert len(store.lexical(store_id, "apples", 9)) == len(store.dense(store_id, np.ones(WIDTH, np.float32), 9)) == 1
    fill(theirs, store_id, ["apples two"], filename="b.txt")
    assert len(ours.lexical(store_id, "apples", 9)) == len(ours.dense(store_id, np.ones(WIDTH, np.float32), 9)) == 2
    ours.remove_member("", store_id, first)
    assert len(theirs.lexical(store_id, "apples", 9)) == len(theirs.dense(store_id, np.ones(WIDTH, np.float32), 9)) == 1
    texts = {chunk.id: chunk.text for chunk, _ in theirs.hits([hit.chunk_id for hit in theirs.lexical(store_id, "apples", 9)]).values()}
    for store in (ours, theirs):
        check(store.lexical(store_id, "apples two", 9), bm25(texts, "apples two"), 9)


def test_a_new_store_never_shows_what_an_old_one_held(opener: Callable[[], Store]) -> None:
    ours, theirs = opener(), opener()
    for number in range(3):
        store_id = new_store(theirs)
        fill(theirs, store_id, [f"apples {number}"], filename=f"{number}.txt")
        for store in (ours, theirs):
            (hit,) = store.lexical(store_id, "apples", 9)
            assert store.hits([hit.chunk_id])[hit.chunk_id][0].text == f"apples {number}"
            assert [found.chunk_id for found in store.dense(store_id, np.ones(WIDTH, np.float32), 9)] == [hit.chunk_id]
        theirs.delete_store("", store_id)


def test_searching_while_documents_come_and_go(store: Store) -> None:
    store_id = new_store(store)
    kept = fill(store, store_id, [f"kept {n}" for n in range(20)])
    ids = set(ids_of(store, store_id, kept))
    stop = threading.Event()

    def search(number: int) -> int:
        rounds = 0
        while not stop.is_set():
            found = store.lexical(store_id, "kept" if number else "kept passing", 500)
            near = store.dense(store_id, np.ones(WIDTH, np.float32), 500)
            assert ids <= {hit.chunk_id for hit in found}
            assert ids <= {hit.chunk_id for hit in near}
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        searches = [pool.submit(search, number) for number in range(3)]
        for number in range(15):
            passing = fill(store, store_id, ["passing by", "and kept out"], filename=f"{number}.txt")
            store.remove_member("", store_id, passing)
        stop.set()
        assert all(search.result() for search in searches)
    assert {hit.chunk_id for hit in store.lexical(store_id, "kept", 500)} == ids
    assert not store.lexical(store_id, "passing", 500)


def test_replacing_a_document_again_and_again(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["version 0 apples"])
    for number in range(1, 6):
        store.add_members("", store_id, [NewMember(file_id=file_id, chunking=Chunking(size=100 + number))])
        assert store.complete(claim(store), outcome([f"version {number} apples", "more"]))
        ids = ids_of(store, store_id, file_id)
        check(store.lexical(store_id, "apples", 9), bm25(dict(zip(ids, [f"version {number} apples", "more"], strict=True)), "apples"), 9)
        assert {hit.chunk_id for hit in store.dense(store_id, np.ones(WIDTH, np.float32), 9)} == set(ids)
