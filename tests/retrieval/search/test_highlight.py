"""Words that match."""

import pytest

from retrieval.search.highlight import matches


@pytest.mark.parametrize(
    ("text", "query", "marked"),
    [
        ("Flows over flat plates, and flow.", "a flow for the plate", ["Flows", "plates", "flow"]),
        ("Order AB-123 or ab-124.", "AB-123", ["AB-123", "ab-124"]),  # it shares a part
        ("Die Straße in Übersee", "STRASSE ubersee", ["Straße", "Übersee"]),
        ("東京都庁に行く", "東京", ["東京"]),
        ("東京都庁に行く", "東京都", ["東京都"]),
        ("nothing here", "else", []),
        ("the and of", "the", []),
        ("", "word", []),
    ],
)
def test_words_are_matched_as_the_index_matches_them(text: str, query: str, marked: list[str]) -> None:
    assert [text[start:end] for start, end in matches(text, query)] == marked
