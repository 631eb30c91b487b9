"""What a text is indexed and found by."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.analysis.stems import MAX_TERM
from retrieval.analysis.terms import Word, index_terms, query_words, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The boundary layers were FLOWING", "boundari layer were flow"),
        ("", ""),
        ("  \n\t .,;!? --- '' ", ""),
        ("the and of", ""),
        ("AB-123", "ab 123 ab-123"),
        ("v2.10.3", "v2 10 3 v2.10.3"),
        ("state-of-the-art", "state art"),
        ("snake_case foo_2", "snake case foo 2 foo_2"),
        ("1,234,567.50", "1 234 567 50 1234567.50"),
        ("1234567.50", "1234567 50 1234567.50"),
        ("the dog's James’s", "dog jame"),
        ("O'Neill’s", "o neill"),
        ("user@example.com", "user exampl com"),
        ("Zürich naïve Ångström", "zurich naiv angstrom"),
        ("ﬁne ２０２４ ①", "fine 2024 1"),
        ("STRASSE Straße", "strass strass"),
        ("東京都", "東京 京都"),
        ("東", "東"),
        ("ガラスを", "ガラ ラス スを"),
        ("iPhone手机15", "iphon 手机 15"),
        ("한국어", "한국 국어"),
        ("a\x00b\u200bc", "b c"),
    ],
)
def test_analysis(text: str, expected: str) -> None:
    assert [term.removeprefix("en:") for term in terms(text)] == expected.split()


@pytest.mark.parametrize(
    ("word", "other", "language"),
    [
        ("Häuser", "Haus", "de"),
        ("синий", "синяя", "ru"),
        ("canciones", "canción", "es"),
        ("libertés", "liberté", "fr"),
        ("bambini", "bambino", "it"),
        ("μεταβολές", "μεταβολή", "el"),
        ("الكتاب", "كتاب", "ar"),
        ("kitaplar", "kitap", "tr"),
        ("लड़के", "लड़का", "hi"),
        ("порукама", "poruke", "sr"),
    ],
)
def test_forms_of_a_word_are_one_term_in_its_language(word: str, other: str, language: str) -> None:
    assert terms(word, language) == terms(other, language)


@pytest.mark.parametrize(
    ("stored", "asked", "language"),
    [
        ("Kündigungsfrist", "Kuendigungsfrist", "de"),
        ("Kuendigungsfrist", "Kündigungsfrist", "de"),
        ("Größe", "GROESSE", "de"),
        ("Kündigungsfrist", "Kuendigungsfrist", "en"),  # a text too short to tell its language
        ("Göteborg", "Goeteborg", "sv"),
        ("información", "informacion", "es"),
        ("élève", "eleve", "fr"),
        ("Łódź", "Lodz", "pl"),
        ("Ødegård", "Odegard", "no"),
        ("PPR-9087", "PPR9087", "en"),
        ("PPR-9087", "ppr 9087", "en"),
        ("PPR9087", "PPR-9087", "en"),
        ("PPR9087", "ppr 9087", "en"),
        ("PPR_9087", "PPR9087", "en"),
        ("PPR‑9087", "PPR9087", "en"),
        ("PPR 9087", "PPR9087", "en"),
        ("E-17", "E17", "en"),
        ("978-3-16-148410-0", "9783161484100", "en"),
        ("2026-01-05", "20260105", "en"),
    ],
)
def test_other_spellings_find_it(stored: str, asked: str, language: str) -> None:
    known = set(index_terms(stored, language).terms)
    words = query_words(asked, (language,))
    assert words
    assert any(not known.isdisjoint(word.spellings) for word in words if any(len(term) > 2 for term in word.spellings))


@pytest.mark.parametrize(("stored", "asked"), [("1.5", "15"), ("2.10.3", "2103"), ("9-5", "95"), ("3,5", "35")])
def test_a_point_in_a_number_is_part_of_it(stored: str, asked: str) -> None:
    assert asked not in index_terms(stored, "en").terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Project A", "project a"),
        ("readme project A", "readm project a"),
        ("IT policy", "it polici"),
        ("the OR gate and the NO port", "or gate no port"),
        ("AS 9100", "as 9100"),
        ("It is a policy. A cat", "polici cat"),
        ("A cat", "cat"),
        ("one\nA cat", "one cat"),
        ("project a", "project"),
    ],
)
def test_stop_words_in_capitals_are_names(text: str, expected: str) -> None:
    assert [term.removeprefix("en:") for term in terms(text)] == expected.split()
    assert [word.spellings[0].removeprefix("en:") for word in query_words(text, ("en",))] == expected.split()


def test_a_query_in_capitals_has_no_names() -> None:
    assert query_words("WHAT IS THE CAPITAL OF IT", ("en",)) == query_words("what is the capital of it", ("en",))


def test_words_of_another_script_are_analysed_in_its_language() -> None:
    assert terms("files файлами", "ru") == ["en:file", "ru:фаил"] == terms("files файлами", "en")


def test_a_word_has_the_terms_of_all_languages() -> None:
    assert query_words("Häuser the", ("de", "en")) == [
        Word(("de:haus", "en:hauser", "en:haeuser")),
        Word(("de:the",), stops_in=("en",)),
    ]


def test_what_is_no_word_is_cut_off() -> None:
    assert terms("x" * 1000 + "1") == ["x" * MAX_TERM]


@given(st.text())
def test_terms_are_what_the_indexes_can_hold(text: str) -> None:
    for term in index_terms(text, "en").terms:
        assert 0 < len(term) <= MAX_TERM
        assert not any(character.isspace() or character == "\x00" for character in term)
        assert not any(character.isascii() and character.isupper() for character in term)
        assert len(term.split()) == 1


@given(st.text(st.characters(max_codepoint=127)))
def test_plain_text_takes_a_shorter_way_to_the_same_terms(text: str) -> None:
    assert [*terms(text), "ru:я"] == terms(text + " я")


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


def test_raised_digits_are_no_part_of_the_number_before_them() -> None:
    assert terms("10⁶ EUR 500¹, 25 m², H₂O") == ["10", "6", "en:eur", "500", "1", "25", "m2", "h2o"]
