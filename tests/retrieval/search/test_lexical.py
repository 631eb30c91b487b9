"""What a text is indexed by."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.search.lexical import MAX_TERM, idf, saturation, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The boundary layers were FLOWING", ["boundari", "layer", "were", "flow"]),
        ("", []),
        ("  \n\t .,;!? --- '' ", []),
        ("the and of", []),
        ("AB-123", ["ab", "123", "ab-123"]),
        ("v2.10.3", ["v2", "10", "3", "v2.10.3"]),
        ("state-of-the-art", ["state", "art"]),
        ("snake_case foo_2", ["snake", "case", "foo", "2", "foo_2"]),
        ("1,234,567.50", ["1", "234", "567", "50", "1234567.50"]),
        ("1234567.50", ["1234567", "50", "1234567.50"]),
        ("the dog's James’s", ["dog", "jame"]),
        ("O'Neill’s", ["o", "neill"]),
        ("user@example.com", ["user", "exampl", "com"]),
        ("Zürich naïve Ångström", ["zurich", "naiv", "angstrom"]),
        ("ﬁne ２０２４ ①", ["fine", "2024", "1"]),
        ("STRASSE Straße", ["strass", "strass"]),
        ("Ελλάδα МОСКВА", ["ελλαδα", "москва"]),
        ("東京都", ["東京", "京都"]),
        ("東", ["東"]),
        ("ガラスを", ["ガラ", "ラス", "スを"]),
        ("iPhone手机15", ["iphon", "手机", "15"]),
        ("한국어", ["한국", "국어"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("a\x00b\u200bc", ["b", "c"]),
    ],
)
def test_analysis(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_what_is_no_word_is_cut_off() -> None:
    assert terms("x" * 1000 + "1") == ["x" * MAX_TERM]


@given(st.text())
def test_terms_are_what_the_indexes_can_hold(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= MAX_TERM
        assert not any(character.isspace() or character == "\x00" for character in term)
        assert not any(character.isascii() and character.isupper() for character in term)
        assert len(term.split()) == 1


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_takes_a_shorter_way_to_the_same_terms(text: str) -> None:
    assert [*terms(text), "я"] == terms(text + " я")


@given(st.lists(st.sampled_from(["layer", "AB-123", "東京", "Zürich's", "1,000"])))
def test_case_and_white_space_do_not_matter(words: list[str]) -> None:
    assert terms(" ".join(words)) == terms("\n\t ".join(words).upper().replace("’S", "’s"))


def test_threads_do_not_disturb_each_other() -> None:
    words = [f"{stem}{end}" for stem in ("flow", "play", "walk", "jump") for end in ("s", "ing", "ed", "")]
    expected = [terms(word) for word in words]
    wrong: list[object] = []

    def work() -> None:
        wrong.extend(word for _ in range(200) for word, known in zip(words, expected, strict=True) if terms(word) != known)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_weights() -> None:
    rare, common, absent = idf(1000, np.array([1.0, 900.0, 0.0]))
    assert absent > rare > common > 0
    counts, lengths = np.array([1, 2, 50], np.float32), np.array([10, 10, 10], np.float32)
    once, twice, often = saturation(counts, lengths, 10.0)
    assert 0 < once < twice < often < 1
    assert saturation(counts[:1], lengths[:1] * 5, 10.0)[0] < once


def test_raised_digits_are_no_part_of_the_number_before_them() -> None:
    assert terms("10⁶ EUR 500¹, 25 m², H₂O") == ["10", "6", "eur", "500", "1", "25", "m2", "h2o"]
