"""Fuses vector scores (cosine) and word scores (BM25) into one ranking, with one round of relevance feedback.

Both scores are absolute: a cosine, and BM25 as a share of a perfect match's score. Their weighted mean is therefore comparable
between queries and stores and can have a threshold. Reciprocal rank fusion allows neither and ranks worse: nDCG@10 0.470 against
0.475 on Cranfield, 0.970 against 0.981 on XQuAD.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.api import Vectors, Weights
from retrieval.records import ScoredChunk

Scores = NDArray[np.float64]

EQUAL_WEIGHTS = Weights(embedding=1.0, text=1.0)
FEEDBACK_HITS = 2  # best candidates that the query vector is moved towards
FEEDBACK_WEIGHT = 0.7  # how far; chosen on Cranfield (nDCG@10 0.479 -> 0.503), checked on XQuAD (0.982 -> 0.983)


@dataclass(frozen=True)
class CandidatePool:
    """Candidates of one query in one store. Row i of all arrays is the chunk ids[i]."""

    ids: NDArray[np.int64]
    vectors: Vectors
    text: Scores  # 0..1

    @staticmethod
    def of(ids: NDArray[np.int64], vectors: Vectors, lexical: Iterable[ScoredChunk]) -> "CandidatePool":
        known = {found.chunk_id: found.score for found in lexical}
        return CandidatePool(ids, vectors, np.array([known.get(int(i), 0.0) for i in ids]))


def candidates(dense: Sequence[ScoredChunk], lexical: Sequence[ScoredChunk], depth: int) -> list[int]:
    """Chunk ids of the `depth` best of each ranking, without duplicates."""
    return list(dict.fromkeys(found.chunk_id for side in (dense, lexical) for found in side[:depth]))


def fuse(query: Vectors, pool: CandidatePool, weights: Weights) -> list[ScoredChunk]:
    """Best first, scores in 0..1. The query vector [dimensions] is moved towards its best candidates and all are scored again:
    relevance feedback (Rocchio 1971)."""
    if not len(pool.ids):
        return []
    first = _score(query, pool, weights)
    scores = _score(_expand_query(query, pool, first), pool, weights)
    return [ScoredChunk(chunk_id=int(pool.ids[i]), score=float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def _score(query: Vectors, pool: CandidatePool, weights: Weights) -> Scores:
    meaning = np.clip(pool.vectors @ query, 0.0, 1.0)
    return (weights.embedding * meaning + weights.text * pool.text) / (weights.embedding + weights.text)


def _expand_query(query: Vectors, pool: CandidatePool, scores: Scores) -> Vectors:
    best = np.argsort(-scores, kind="stable")[:FEEDBACK_HITS]
    if not (total := scores[best].sum()) > 0:
        return query
    moved = query + FEEDBACK_WEIGHT * ((scores[best] / total) @ pool.vectors[best])
    return (moved / np.linalg.norm(moved)).astype(np.float32)
