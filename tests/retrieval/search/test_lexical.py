"""The formulas of the word index."""

import numpy as np

from retrieval.search.lexical import QueryTerm, idf, query_terms, saturation


def test_a_word_is_looked_for_in_every_language_of_the_store() -> None:
    assert query_terms("Häuser", {"de": 5, "en": 3}) == [QueryTerm(("de:haus", "en:hauser", "en:haeuser"), 1, 0)]


def test_a_stop_word_of_one_language_counts_as_common_there() -> None:
    """ "was" is an English stop word and may be rare in a German text of another kind."""
    assert query_terms("was", {"de": 5, "en": 3}) == [QueryTerm(("de:was",), 1, 3)]


def test_weights() -> None:
    rare, common, absent = idf(1000, np.array([1.0, 900.0, 0.0]))
    assert absent > rare > common > 0
    counts, lengths = np.array([1, 2, 50], np.float32), np.array([10, 10, 10], np.float32)
    once, twice, often = saturation(counts, lengths, 10.0)
    assert 0 < once < twice < often < 1
    assert saturation(counts[:1], lengths[:1] * 5, 10.0)[0] < once
