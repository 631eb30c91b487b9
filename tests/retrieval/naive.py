"""Search as its definition says, without any index: what the fast ways are compared with."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from retrieval.analysis.terms import terms
from retrieval.api import Vectors
from retrieval.search.lexical import K1, B


def cosines(rows: Mapping[int, Sequence[float]], query: Sequence[float]) -> dict[int, float]:
    def cosine(row: Sequence[float]) -> float:
        lengths = np.linalg.norm(row) * np.linalg.norm(query)
        return float(np.dot(row, query) / lengths) if lengths else 0.0

    return {id: cosine(row) for id, row in rows.items()}


def bm25(texts: Mapping[int, str], query: str) -> dict[int, float]:
    """Only of texts that hold a word of it."""
    words = {id: Counter(terms(text)) for id, text in texts.items()}
    wanted = Counter(terms(query))
    average = max(sum(counts.total() for counts in words.values()) / max(len(words), 1), 1)
    df = {term: sum(term in counts for counts in words.values()) for term in wanted}
    weight = {term: times * math.log(1 + (len(words) - df[term] + 0.5) / (df[term] + 0.5)) for term, times in wanted.items()}
    scores: dict[int, float] = {}
    for id, counts in words.items():
        hold = K1 * (1 - B + B * counts.total() / average)
        if any(term in counts for term in wanted):
            scores[id] = sum(weight[term] * counts[term] / (counts[term] + hold) for term in wanted) / sum(weight.values())
    return scores


def check(found: Sequence[tuple[int, float]], expected: Mapping[int, float], limit: int) -> None:
    """The best, in order; equal ones in any."""
    best = sorted(expected.values(), reverse=True)[:limit]
    assert [score for _, score in found] == pytest.approx(best, abs=2e-5)
    assert len({id for id, _ in found}) == len(found)
    for id, score in found:
        assert id in expected, f"{id} should not have been found"
        assert math.isclose(score, expected[id], abs_tol=2e-5)


def random_vectors(seed: int, count: int, width: int) -> Vectors:
    rows = np.random.default_rng(seed).standard_normal((count, width), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
