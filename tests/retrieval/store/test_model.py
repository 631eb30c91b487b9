"""Random lives of a database, compared with a plain dictionary of what should be in it."""

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from retrieval.api import Chunking, Compare
from retrieval.records import NewMember
from retrieval.store import StoreOptions, open_store
from tests.retrieval.dangling import dangling
from tests.retrieval.filling import WIDTH, claim, directions, fill, new_store, outcome
from tests.retrieval.naive import bm25, check, cosines

WORDS = ["apple", "pear", "plum", "quince", "AB-123", "東京"]
TEXTS = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(" ".join), min_size=0, max_size=4)
STORES = st.integers(0, 1)


class Lives(RuleBasedStateMachine):
    """Two stores; every search asks two connections to the same file, which keep caches of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp()
        self.sides = [open_store(Path(self.folder) / "stoa.db", StoreOptions()) for _ in range(2)]
        self.stores = [new_store(self.sides[0]), new_store(self.sides[0])]
        self.held: list[dict[str, tuple[list[str], int]]] = [{}, {}]  # by file: texts, attribute
        self.sizes = 0

    files = Bundle("files")

    @rule(target=files, store=STORES, side=STORES, texts=TEXTS, number=st.integers(0, 2))
    def add(self, store: int, side: int, texts: list[str], number: int) -> tuple[int, str]:
        file_id = fill(self.sides[side], self.stores[store], texts, attributes={"n": number})
        self.held[store][file_id] = (texts, number)
        return store, file_id

    @rule(file=files, side=STORES, texts=TEXTS)
    def replace(self, file: tuple[int, str], side: int, texts: list[str]) -> None:
        store, file_id = file
        self.sizes += 1
        number = self.held[store][file_id][1]
        new = NewMember(file_id=file_id, attributes={"n": number}, chunking=Chunking(size=100 + self.sizes))
        self.sides[side].add_members("", self.stores[store], [new])
        assert self.sides[1 - side].complete(claim(self.sides[1 - side]), outcome(texts))
        self.held[store][file_id] = (texts, number)

    @rule(file=consumes(files), side=STORES, whole=st.booleans())
    def remove(self, file: tuple[int, str], side: int, whole: bool) -> None:
        store, file_id = file
        if whole:
            self.sides[side].delete_file("", file_id)
        else:
            self.sides[side].remove_member("", self.stores[store], file_id)
        del self.held[store][file_id]

    @rule(store=STORES, side=STORES, query=st.lists(st.sampled_from([*WORDS, "unknown"]), max_size=3).map(" ".join))
    def words(self, store: int, side: int, query: str) -> None:
        check(self.sides[side].lexical(self.stores[store], query, 5), bm25(self._texts(store), query), 5)

    @rule(store=STORES, side=STORES, query=st.sampled_from(WORDS), number=st.integers(0, 2))
    def words_of_some(self, store: int, side: int, query: str, number: int) -> None:
        some = Compare(op="eq", key="n", value=number)
        allowed = self._texts(store, number)
        expected = {id: score for id, score in bm25(self._texts(store), query).items() if id in allowed}
        check(self.sides[side].lexical(self.stores[store], query, 5, some), expected, 5)

    @rule(store=STORES, side=STORES, seed=st.integers(0, 9), number=st.sampled_from([None, 0, 1, 2]))
    def meaning(self, store: int, side: int, seed: int, number: int | None) -> None:
        query = np.random.default_rng(seed).standard_normal(WIDTH).astype(np.float32)
        some = None if number is None else Compare(op="eq", key="n", value=number)
        texts = self._texts(store, number)
        rows = dict(zip(texts, directions(list(texts.values())).tolist(), strict=True))
        check(self.sides[side].dense(self.stores[store], query, 4, some), cosines(rows, query.tolist()), 4)

    def teardown(self) -> None:
        assert dangling(Path(self.folder) / "stoa.db") == []
        for side in self.sides:
            side.close()
        shutil.rmtree(self.folder)

    def _texts(self, store: int, number: int | None = None) -> dict[int, str]:
        """By chunk id."""
        wanted = [(file, texts) for file, (texts, n) in self.held[store].items() if number in (None, n)]
        chunks = [self.sides[0].chunks_of("", self.stores[store], file) for file, _ in wanted]
        assert [[chunk.text for chunk in of_file] for of_file in chunks] == [texts for _, texts in wanted]
        return {chunk.id: chunk.text for of_file in chunks for chunk in of_file}


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=12, stateful_step_count=25, deadline=None)
