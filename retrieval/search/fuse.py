"""Fuses vector scores (cosine) and word scores (BM25) into one ranking, with one round of relevance feedback.

Both scores are absolute: a cosine, and BM25 as a share of a perfect match's score. Their weighted mean is therefore comparable
between queries and stores and can have a threshold; reciprocal rank fusion allows neither.

An embedding model that does not know the language of a query gives noise. Two measures tell, for each query and store, how far its
cosines can be trusted: how long the pieces are into which its vocabulary cuts the query and the chunks (`Embedder.fluency`), and whether
it agrees with the words, that is, how far the best matches by words stand out by their cosine. Which sets the constants were chosen on
and which only measured is in bench/results/fusion.json.
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
FEEDBACK_WEIGHT = 0.65  # how far, at full trust
FULL_TRUST = 1.1  # weight of the cosines then; scores are scaled so that a cosine alone counts no more than by the weights
FLUENT, FLUENCY_SLOPE = 3.1, 6.0  # letters per token at half trust; how fast trust rises with them
MAX_FLUENCY = 4.5  # more says nothing
AGREED, AGREEMENT_SLOPE, MAX_AGREEMENT = 2.7, 3.5, 2.0  # standard deviations: from where agreement adds trust; how fast; how many count
COMPARED, BEST = 100, 3  # candidates of either side that agreement is measured among; best matches by words that it is measured of


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


def fuse(query: Vectors, pool: CandidatePool, weights: Weights, fluency: float) -> list[ScoredChunk]:
    """Best first, scores in 0..1. The query vector [dimensions] is moved towards its best candidates and all are scored again:
    relevance feedback (Rocchio 1971). `fluency`: the embedding model's of query and chunks."""
    if not len(pool.ids):
        return []
    both = weights.embedding > 0 and weights.text > 0
    trust = _trust(fluency, _agreement((pool.vectors @ query).astype(np.float64), pool.text)) if both else 1.0
    trusted = Weights(embedding=weights.embedding * trust, text=weights.text)
    first = _score(query, pool, trusted)
    scores = _score(_expand_query(query, pool, first, min(trust, 1.0)), pool, trusted)
    scores *= min(1.0, (trusted.embedding + trusted.text) / (trust * (weights.embedding + weights.text)))
    return [ScoredChunk(chunk_id=int(pool.ids[i]), score=float(scores[i])) for i in np.argsort(-scores, kind="stable")]


def _trust(fluency: float, agreement: float) -> float:
    """Above 0, at most FULL_TRUST."""
    known = FLUENCY_SLOPE * (min(fluency, MAX_FLUENCY) - FLUENT)
    agreed = AGREEMENT_SLOPE * min(max(agreement - AGREED, 0.0), MAX_AGREEMENT)
    return FULL_TRUST / (1 + float(np.exp(-(known + agreed))))


def _agreement(cosines: Scores, text: Scores) -> float:
    """By how many standard deviations the cosines of the best matches by words lie above the median."""
    by_words = np.argsort(-text, kind="stable")[:COMPARED]
    by_words = by_words[text[by_words] > 0]
    if not len(by_words):
        return 0.0
    compared = cosines[np.union1d(by_words, np.argsort(-cosines, kind="stable")[:COMPARED])]
    best = by_words[:BEST]
    deviation = max(float(compared.std()), 1e-6)
    return float(np.average(cosines[best] - np.median(compared), weights=text[best])) / deviation


def _score(query: Vectors, pool: CandidatePool, weights: Weights) -> Scores:
    meaning = np.clip(pool.vectors @ query, 0.0, 1.0)
    return (weights.embedding * meaning + weights.text * pool.text) / (weights.embedding + weights.text)


def _expand_query(query: Vectors, pool: CandidatePool, scores: Scores, trust: float) -> Vectors:
    best = np.argsort(-scores, kind="stable")[:FEEDBACK_HITS]
    if not (total := scores[best].sum()) > 0:
        return query
    moved = query + FEEDBACK_WEIGHT * trust * ((scores[best] / total) @ pool.vectors[best])
    return (moved / np.linalg.norm(moved)).astype(np.float32)
