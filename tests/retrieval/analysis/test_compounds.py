"""The parts of German compounds."""

import pytest

from retrieval.analysis.compounds import parts
from retrieval.analysis.stems import stems
from retrieval.analysis.terms import index_terms, query_words


@pytest.mark.parametrize(
    ("word", "modifier", "head"),
    [
        ("kündigungsfrist", "kündigung", "frist"),
        ("kündigungsfristen", "kündigung", "frist"),
        ("kuendigungsfrist", "kündigung", "frist"),
        ("arbeitsvertrag", "arbeit", "vertrag"),
        ("straßenbahn", "straße", "bahn"),
        ("benutzerkonto", "benutzer", "konto"),
        ("systemeinstellungen", "system", "einstellung"),
    ],
)
def test_both_parts(word: str, modifier: str, head: str) -> None:
    first, second = parts(word)
    assert stems(modifier, "de")[0] in first and second == stems(head, "de")[:1]


@pytest.mark.parametrize("word", ["vertrag", "frist", "entwicklung", "gesellschaft", "computer", "wasser"])
def test_words_that_are_none(word: str) -> None:
    assert parts(word) == ()


@pytest.mark.parametrize(
    ("stored", "asked"),
    [
        ("Die Kündigungsfrist beträgt drei Monate.", "Frist"),
        ("Die Kündigungsfrist beträgt drei Monate.", "Kündigung"),
        ("Die Frist nach einer Kündigung", "Kündigungsfrist"),
    ],
)
def test_a_compound_and_its_parts_find_each_other(stored: str, asked: str) -> None:
    known = set(index_terms(stored, "de").terms)
    assert any(not known.isdisjoint(word.spellings) for word in query_words(asked, ("de",)))


def test_only_in_german() -> None:
    assert len(index_terms("Kündigungsfrist", "en").terms) == 2  # with umlaut, with digraph
