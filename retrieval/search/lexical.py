"""BM25 formulas of the word index, shared by both databases: as Lucene computes it (Kamphuis et al., 2020), without the constant factor
k1 + 1, as Lucene since 8. A query's word that has several spellings is one term: a chunk holds it as often as its most frequent
spelling."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.analysis.terms import query_words

K1, B = 1.2, 0.75  # BM25: term saturation; length normalization


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """`skipped`: number of chunks that were indexed without the word, since it is a stop word of their language; they count as holding
    it when the word's rarity is computed."""

    spellings: tuple[str, ...]
    count: int  # in the query
    skipped: int


def query_terms(query: str, languages: Mapping[str, int]) -> list[QueryTerm]:
    """`languages`: number of chunks in each language of the store."""
    counted = Counter(query_words(query, tuple(sorted(languages))))
    return [QueryTerm(word.spellings, count, sum(languages[language] for language in word.stops_in)) for word, count in counted.items()]


def idf(count: int, df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse document frequency of terms that occur in `df` [terms] of `count` chunks."""
    return np.log1p((count - df + 0.5) / (df + 0.5))


def saturation(tf: NDArray[np.float32], length: NDArray[np.float32], average: float) -> NDArray[np.float32]:
    """BM25 term frequency factor, 0..1, of `tf` occurrences in chunks of `length` words. `average`: mean length of all chunks."""
    return np.divide(tf, tf + length * np.float32(K1 * B / average) + np.float32(K1 * (1 - B)), dtype=np.float32)
