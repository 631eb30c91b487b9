"""BM25 over postings in memory, as chunks come and go."""

from collections import Counter

import numpy as np
import pytest

from retrieval.search import postings
from retrieval.search.lexical import QueryTerm
from retrieval.search.postings import WordIndex
from tests.retrieval.naive import bm25, check

TEXTS = ["apple pear", "apple apple plum", "pear quince quince quince", "plum", "apple"]


class Held:
    """Chunks with their words, and the index that must keep up with them."""

    def __init__(self) -> None:
        self.index = WordIndex()
        self.words: list[list[str]] = []
        self.alive: list[bool] = []
        self.fetched: list[str] = []

    def add(self, *texts: str) -> None:
        words = [text.split() for text in texts]
        self.index.add(np.array([len(found) for found in words], np.float32), words if self.index.has_postings else ())
        self.words += words
        self.alive += [True] * len(texts)

    def fetch(self, term: str) -> np.ndarray:
        self.fetched.append(term)
        return np.array([slot for slot, words in enumerate(self.words) for word in words if word == term], np.int64)

    def check(self, query: str, limit: int = 10) -> None:
        slots, scores = self.index.search(
            [QueryTerm((word,), n, 0) for word, n in Counter(query.split()).items()], limit, self.fetch, np.array(self.alive)
        )
        texts = {slot: " ".join(words) for slot, words in enumerate(self.words) if self.alive[slot]}
        check(list(zip(slots.tolist(), scores.tolist(), strict=True)), bm25(texts, query), limit)


@pytest.fixture
def held() -> Held:
    held = Held()
    held.add(*TEXTS)
    return held


@pytest.mark.parametrize("query", ["apple", "apple pear", "apple apple plum", "quince", "unknown", "apple unknown"])
@pytest.mark.parametrize("limit", [1, 2, 10])
def test_scores(held: Held, query: str, limit: int) -> None:
    # one spelling of each word, so that the naive way's analysis changes nothing
    held.words = [[{"apple": "appl", "quince": "quinc"}.get(word, word) for word in words] for words in held.words]
    stemmed = " ".join({"apple": "appl", "quince": "quinc"}.get(word, word) for word in query.split())
    held.check(stemmed, limit)


def test_what_is_added_later_is_found_without_fetching_again(held: Held) -> None:
    held.check("pear plum")
    assert held.fetched == ["pear", "plum"]
    held.add("pear", "plum plum pear", "else")
    held.check("pear plum")
    assert held.fetched == ["pear", "plum"]


def test_what_is_removed_counts_no_more(held: Held) -> None:
    held.check("pear plum")
    held.alive[0] = held.alive[3] = False
    held.check("pear plum")
    held.add("pear pear")
    held.check("pear plum")
    held.alive = [False] * len(held.alive)
    held.check("pear")


def test_only_what_is_allowed(held: Held) -> None:
    allowed = np.array([True, False, True, False, False])
    slots, scores = held.index.search(
        [QueryTerm(("pear",), 1, 0)], 10, held.fetch, np.array(held.alive), allowed & np.array([True, True, False, True, True])
    )
    assert slots.tolist() == [0]
    _, everything = held.index.search([QueryTerm(("pear",), 1, 0)], 10, held.fetch, np.array(held.alive))
    assert scores[0] == everything.max(), "the weights are those of all"


def test_old_postings_make_room(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postings, "MAX_POSTINGS", 3)
    for _ in range(2):
        held.check("pear")
        held.check("plum")
    assert held.fetched == ["pear", "plum", "pear", "plum"]
    held.add("plum")
    held.check("plum")


def test_many_equal_scores(held: Held) -> None:
    held.add(*["kiwi"] * 500)
    slots, _ = held.index.search([QueryTerm(("kiwi",), 1, 0)], 20, held.fetch, np.array(held.alive))
    assert slots.tolist() == list(range(5, 25))


def test_any_spelling_counts_once(held: Held) -> None:
    held.add("colour color color", "colour apple plum")
    slots, scores = held.index.search([QueryTerm(("colour", "color"), 1, 0)], 10, held.fetch, np.array(held.alive))
    assert slots.tolist() == [5, 6]
    assert 0 < scores[1] < scores[0] < 1


def test_a_word_that_other_chunks_leave_out_is_not_rare(held: Held) -> None:
    slots, _ = held.index.search([QueryTerm(("plum",), 1, 0), QueryTerm(("quince",), 1, 0)], 1, held.fetch, np.array(held.alive))
    assert slots.tolist() == [2], "the rarer one decides"
    slots, _ = held.index.search([QueryTerm(("plum",), 1, 0), QueryTerm(("quince",), 1, 4)], 1, held.fetch, np.array(held.alive))
    assert slots.tolist() == [3]
