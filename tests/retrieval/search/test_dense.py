"""Nearest vectors: exact in flat segments, good in the graph, and never one that is masked out."""

import numpy as np
import pytest

from retrieval.search.dense import DenseIndex
from tests.retrieval.naive import random_vectors

WIDTH = 24


def index_of(vectors: np.ndarray, segment: int = 64, step: int = 50) -> DenseIndex:
    index = DenseIndex(WIDTH, segment)
    for start in range(0, len(vectors), step):
        index.add(vectors[start : start + step])
    return index


def always() -> bool:
    return True


@pytest.mark.parametrize("count", [1, 63, 64, 65, 500])
@pytest.mark.parametrize("limit", [1, 10, 1000])
@pytest.mark.parametrize("share", [None, 0.0, 0.02, 0.5, 1.0])
def test_flat_segments_are_exact(count: int, limit: int, share: float | None) -> None:
    vectors = random_vectors(count, count, WIDTH)
    allowed = None if share is None else np.random.default_rng(0).random(count) < share
    query = random_vectors(99, 1, WIDTH)[0]
    slots, scores = index_of(vectors).search(query, limit, allowed)
    wanted = np.flatnonzero(np.ones(count, bool) if allowed is None else allowed)
    best = wanted[np.argsort(-(vectors[wanted] @ query), kind="stable")][:limit]
    assert slots.tolist() == best.tolist()
    assert np.allclose(scores, vectors[best] @ query, atol=1e-5)


def test_an_empty_index() -> None:
    slots, scores = DenseIndex(WIDTH).search(random_vectors(0, 1, WIDTH)[0], 5)
    assert len(slots) == len(scores) == 0


def test_equal_vectors_come_in_order() -> None:
    index = index_of(np.repeat(random_vectors(0, 1, WIDTH), 150, axis=0))
    assert index.search(random_vectors(0, 1, WIDTH)[0], 100)[0].tolist() == list(range(100))


@pytest.mark.parametrize("share", [None, 0.5, 0.01])
def test_the_graph_finds_almost_all(share: float | None) -> None:
    """Of a thousand neighbours that are random, the hardest case; few allowed ones are looked up exactly."""
    vectors, queries = random_vectors(1, 3000, WIDTH), random_vectors(2, 100, WIDTH)
    index = index_of(vectors, segment=512, step=512)
    graph = index.graph(always)
    assert graph is not None
    index.adopt_graph(graph)
    assert index.graph_size == 2560
    allowed = None if share is None else np.random.default_rng(3).random(3000) < share
    masked = np.where(np.ones(3000, bool) if allowed is None else allowed, 0, -9)
    found = [set(index.search(query, 10, allowed)[0].tolist()) for query in queries]
    best = [set(np.argsort(-(vectors @ query + masked))[:10].tolist()) for query in queries]
    recall = sum(len(a & b) for a, b in zip(found, best, strict=True)) / 1000
    assert recall > (0.98 if share != 0.01 else 0.9999)
    if allowed is not None:
        assert all(allowed[list(slots)].all() for slots in found)


def test_adding_goes_on_behind_the_graph() -> None:
    vectors = random_vectors(4, 1000, WIDTH)
    index = index_of(vectors[:300])
    graph = index.graph(always)
    index.add(vectors[300:700])  # while it was built
    assert graph is not None
    index.adopt_graph(graph)
    assert index.graph_size == 256
    index.add(vectors[700:])
    for slot in (0, 255, 256, 300, 699, 700, 999):
        slots, scores = index.search(vectors[slot], 1)
        assert (slots.tolist(), round(float(scores[0]), 5)) == ([slot], 1.0)
    second = index.graph(always)
    assert second is not None
    index.adopt_graph(second)
    assert index.graph_size == 960
    assert all(index.search(vectors[slot], 1)[0][0] == slot for slot in range(0, 1000, 37))


def test_building_a_graph_can_be_stopped() -> None:
    answers = iter([True, True, False])
    assert index_of(random_vectors(5, 500, WIDTH)).graph(lambda: next(answers)) is None
