"""From question to hits, over a real store, with an embedder that only knows words."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from retrieval.api import Attributes, Block, Compare, Document, Hit, ModelIdentity, NewChunk, Search, Vectors, WrongModel
from retrieval.records import IngestedFile, NewFile, NewMember, NewVectorStore
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store

TEXTS = {
    "rivers.txt": "The river Elbe flows through Dresden and Hamburg into the North Sea.",
    "sharks.txt": "Sharks breathe through gills and have a skeleton of cartilage.",
    "engines.txt": "A diesel engine ignites its fuel by compression alone.",
}
AXES = ("river", "sea", "shark", "fish", "engine", "fuel")


class Words:
    """A text's vector counts the words in AXES; "water" means rivers and sea."""

    identity = ModelIdentity(model="words", revision="1", dimensions=len(AXES), pooling="mean+normalize")
    max_tokens = 100

    def fluency(self, text: str) -> float:
        return 4.0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return []

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        rows = np.array([[self._meant(axis, text.lower()) for axis in AXES] for text in texts], dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def _meant(self, axis: str, text: str) -> float:
        return 1e-3 + (axis in text) + (axis in ("river", "sea") and "water" in text)


class Backwards:
    """A reranker that likes short texts."""

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [1 / len(text) for text in texts]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "stoa.db", StoreOptions())
    yield opened
    opened.close()


def fill(store: Store, name: str, attributes: Attributes | None = None) -> str:
    store_id = store.create_store(NewVectorStore(owner="", name=name)).id
    for filename, text in TEXTS.items():
        add(store, store_id, filename, text, attributes)
    return store_id


def add(store: Store, store_id: str, filename: str, text: str, attributes: Attributes | None = None) -> None:
    file = store.put_file(NewFile(owner="", filename=filename), [text.encode()])
    store.add_members("", store_id, [NewMember(file_id=file.id, attributes=attributes or {})])
    job = store.claim("test", 60)
    assert job
    document = Document(text=text, blocks=(Block(kind="paragraph", start=0, end=len(text)),), media_type="text/plain")
    vectors = asyncio.run(Words().embed([text], "document"))
    outcome = IngestedFile(
        document=document, chunks=(NewChunk(text=text, start=0, end=len(text)),), vectors=vectors, identity=Words.identity
    )
    assert store.complete(job, outcome)


def names(hits: list[Hit]) -> list[str]:
    return [hit.chunk.filename for hit in hits]


def find(retriever: KnowledgeSearch, search: Search) -> list[Hit]:
    return list(asyncio.run(retriever.search(search)).hits)


def test_meaning_finds_what_shares_no_word(store: Store) -> None:
    retriever, store_id = KnowledgeSearch(store, Words()), fill(store, "all")
    assert names(find(retriever, Search(queries=("water",), stores=(store_id,))))[0] == "rivers.txt"
    assert find(retriever, Search(queries=("water",), stores=(store_id,), mode="lexical")) == []


def test_words_find_what_means_nothing_to_the_model(store: Store) -> None:
    retriever, store_id = KnowledgeSearch(store, Words()), fill(store, "all")
    assert names(find(retriever, Search(queries=("cartilage",), stores=(store_id,), mode="fused")))[0] == "sharks.txt"


def test_limit_threshold_and_scores(store: Store) -> None:
    retriever, store_id = KnowledgeSearch(store, Words()), fill(store, "all")
    everything = find(retriever, Search(queries=("river fuel",), stores=(store_id,)))
    scores = [hit.score for hit in everything]
    assert len(everything) == 3 and scores == sorted(scores, reverse=True) and 0 <= scores[-1] < scores[0] <= 1
    assert len(find(retriever, Search(queries=("river fuel",), stores=(store_id,), limit=1))) == 1
    above = find(retriever, Search(queries=("river fuel",), stores=(store_id,), threshold=scores[1]))
    assert names(above) == names(everything)[:2]


def test_the_same_text_in_two_files_is_found_once(store: Store) -> None:
    retriever, store_id = KnowledgeSearch(store, Words()), fill(store, "all")
    for copy in range(3):
        add(store, store_id, f"copy{copy}.txt", TEXTS["rivers.txt"])
    hits = find(retriever, Search(queries=("river",), stores=(store_id,), limit=3))
    assert len({hit.chunk.text for hit in hits}) == len(hits) == 3
    assert len(find(retriever, Search(queries=("river",), stores=(store_id,), limit=20, distinct=False))) == 6


def test_several_queries_and_stores_give_each_chunk_once(store: Store) -> None:
    retriever, one, two = KnowledgeSearch(store, Words()), fill(store, "one"), fill(store, "two")
    hits = find(retriever, Search(queries=("river", "shark"), stores=(one, two), limit=20, distinct=False))
    assert len(hits) == len({hit.chunk.id for hit in hits}) == 6
    best = {(hit.chunk.store_id, hit.chunk.filename) for hit in hits[:4]}
    assert best == {(store_id, filename) for store_id in (one, two) for filename in ("rivers.txt", "sharks.txt")}


@pytest.mark.parametrize("by", ["dense", "lexical", "fused"])
def test_filters_hold_on_every_side(store: Store, by: Literal["dense", "lexical", "fused"]) -> None:
    retriever, store_id = KnowledgeSearch(store, Words()), fill(store, "all", {"year": 2001})
    add(store, store_id, "new.txt", "The river Rhine reaches the sea at Rotterdam.", {"year": 2020})
    search = Search(queries=("river sea",), stores=(store_id,), mode=by, filter=Compare(op="gt", key="year", value=2010))
    hits = find(retriever, search)
    assert names(hits) == ["new.txt"] and hits[0].attributes == {"year": 2020}


def test_the_reranker_has_the_last_word_unless_told_otherwise(store: Store) -> None:
    retriever, store_id = KnowledgeSearch(store, Words(), Backwards()), fill(store, "all")
    shortest = min(TEXTS, key=lambda name: len(TEXTS[name]))
    assert names(find(retriever, Search(queries=("river",), stores=(store_id,))))[0] == shortest
    assert names(find(retriever, Search(queries=("river",), stores=(store_id,), rerank=False)))[0] == "rivers.txt"


def test_the_vectors_of_the_queries_come_back_and_known_ones_are_not_made_again(store: Store) -> None:
    embedded: list[str] = []

    class Recorded(Words):
        async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
            embedded.extend(texts)
            return await super().embed(texts, kind)

    retriever, store_id = KnowledgeSearch(store, Recorded()), fill(store, "all")
    first = asyncio.run(retriever.search(Search(queries=("river", "shark", "river"), stores=(store_id,))))
    assert first.query_vectors.keys() == {"river", "shark"} and embedded == ["river", "shark"]
    search = Search(queries=("fuel", "river"), stores=(store_id,))
    second = asyncio.run(retriever.search(replace(search, known_vectors=first.query_vectors)))
    assert embedded == ["river", "shark", "fuel"] and second.hits == asyncio.run(retriever.search(search)).hits
    assert second.query_vectors.keys() == {"fuel", "river"}
    assert asyncio.run(retriever.search(replace(search, mode="lexical"))).query_vectors == {}


def test_vectors_of_another_model_are_refused(store: Store) -> None:
    store_id = fill(store, "all")

    class Other(Words):
        identity = ModelIdentity(model="others", revision="2", dimensions=len(AXES), pooling="cls")

    with pytest.raises(WrongModel, match="words"):
        find(KnowledgeSearch(store, Other()), Search(queries=("river",), stores=(store_id,)))


def test_stages_are_timed(store: Store) -> None:
    seen: dict[str, float] = {}
    retriever = KnowledgeSearch(store, Words(), Backwards(), observer=seen.__setitem__)
    find(retriever, Search(queries=("river",), stores=(fill(store, "all"),)))
    assert seen.keys() == {"embed", "look_up", "rerank"} and all(seconds > 0 for seconds in seen.values())
