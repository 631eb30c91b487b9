"""The mix of meaning and words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.api import Weights
from retrieval.records import ScoredChunk
from retrieval.search.fuse import EQUAL_WEIGHTS, CandidatePool, candidates, fuse

FLUENT = 4.5


def scored(**scores: float) -> list[ScoredChunk]:
    return [ScoredChunk(chunk_id=int(name[1:]), score=score) for name, score in scores.items()]


def pool(rows: list[list[float]], text: list[float]) -> CandidatePool:
    vectors = np.array(rows, dtype=np.float32)
    return CandidatePool(np.arange(1, len(rows) + 1), vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.array(text))


def test_candidates_are_the_best_of_both_sides_once() -> None:
    assert candidates(scored(c1=0.9, c2=0.8, c3=0.7), scored(c2=0.5, c9=0.4), depth=2) == [1, 2, 9]


def test_a_chunk_that_only_words_found_has_its_meaning_counted_too() -> None:
    found = CandidatePool.of(np.array([4, 7]), np.eye(2, dtype=np.float32), scored(c7=0.5))
    assert found.text.tolist() == [0.0, 0.5]


def test_weights_choose_the_side() -> None:
    both = pool([[1, 0], [0, 1]], text=[0.0, 0.9])
    query = np.array([1, 0], dtype=np.float32)
    assert fuse(query, both, Weights(embedding=1, text=0), FLUENT)[0].chunk_id == 1
    assert fuse(query, both, Weights(embedding=0, text=1), FLUENT)[0].chunk_id == 2
    assert fuse(query, both, Weights(embedding=0, text=1), FLUENT)[0].score == pytest.approx(0.9)


def test_feedback_lifts_what_resembles_the_best() -> None:
    """Chunks 2 and 3 are equally far from the question; 2 lies beside the best one."""
    found = fuse(
        np.array([1, 0, 0], dtype=np.float32), pool([[1, 0.9, 0], [0, 1, 0], [0, 0, 1]], text=[0.8, 0.0, 0.0]), EQUAL_WEIGHTS, FLUENT
    )
    assert [hit.chunk_id for hit in found] == [1, 2, 3]
    assert found[1].score > found[2].score == 0.0


def test_nothing_found() -> None:
    assert (
        fuse(
            np.ones(2, dtype=np.float32),
            CandidatePool.of(np.array([], dtype=np.int64), np.zeros((0, 2), dtype=np.float32), []),
            EQUAL_WEIGHTS,
            FLUENT,
        )
        == []
    )


@given(
    st.lists(st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=8),
    st.floats(0, 5, allow_subnormal=False),
    st.floats(0.1, 5),
    st.floats(0, 20),
)
def test_scores_lie_in_0_1_and_fall(rows: list[tuple[float, float, float]], embedding: float, text: float, fluency: float) -> None:
    both = pool([[a, b + 0.001] if abs(a) + abs(b + 0.001) > 1e-6 else [1, 0] for a, b, _ in rows], text=[t for *_, t in rows])
    found = fuse(np.array([0.6, 0.8], dtype=np.float32), both, Weights(embedding=embedding, text=text), fluency)
    scores = [hit.score for hit in found]
    assert sorted(scores, reverse=True) == scores
    assert all(-1e-9 <= score <= 1 + 1e-6 for score in scores)
    assert sorted(hit.chunk_id for hit in found) == both.ids.tolist()


def test_a_model_that_does_not_know_the_language_is_not_heard() -> None:
    """Its cosines prefer chunk 1; the words are with chunk 3, to which it gives no more than to others."""
    noise = pool([[1, 0], [0.8, 0.6], [0, 1], [0.7, 0.7]], text=[0.0, 0.1, 0.4, 0.0])
    query = np.array([1, 0], dtype=np.float32)
    assert fuse(query, noise, EQUAL_WEIGHTS, FLUENT)[0].chunk_id != 3
    best = fuse(query, noise, EQUAL_WEIGHTS, 1.0)[0]
    assert best.chunk_id == 3
    assert best.score == pytest.approx(0.4, abs=0.01)


def test_agreement_with_the_words_is_trusted_in_a_script_that_the_model_spells() -> None:
    rows = [[1, 0.05]] + [[0.1, 1 + i / 50] for i in range(30)]
    text = [0.6] + [0.1] * 30
    query = np.array([1, 0], dtype=np.float32)
    agreed = fuse(query, pool(rows, text), EQUAL_WEIGHTS, 1.6)[0]
    denied = fuse(query, pool(rows[::-1], text), EQUAL_WEIGHTS, 1.6)[0]
    assert agreed.score > denied.score
