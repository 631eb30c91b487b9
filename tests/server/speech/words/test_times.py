"""Tokens become words, and words get times."""

import numpy as np
import pytest

from server.speech.words.placing import Between, Span, placed
from server.speech.words.split import TokenWord, split_words
from server.speech.words.times import SpokenTokens, TimedWord, timed_words

Parts = list[str | bytes]
BETWEEN = Between(0.0, 30.0)


def split(parts: Parts, language: str) -> list[TokenWord]:
    told = {number: part.encode() if isinstance(part, str) else part for number, part in enumerate(parts)}
    return split_words(list(told), told, language)


@pytest.mark.parametrize(
    ("parts", "language", "words"),
    [
        ([" Hello", " wor", "ld", "!"], "en", [(" Hello", 1), (" world", 2), ("!", 1)]),
        (["don", "'t", " stop", ".", "..", ' "', "Go", '"'], "en", [("don't", 2), (" stop", 1), ("...", 2), (' "Go', 2), ('"', 1)]),
        ([b" caf\xc3", b"\xa9", "s"], "fr", [(" cafés", 3)]),
        (["東京", b"\xe9\x83", b"\xbd", "に"], "ja", [("東京", 1), ("都", 2), ("に", 1)]),
        ([" a", b"\xe9\x83"], "en", [(" a\ufffd", 2)]),  # half a character at the end
        ([], "en", []),
    ],
)
def test_words(parts: Parts, language: str, words: list[tuple[str, int]]) -> None:
    assert [(word.text, word.tokens) for word in split(parts, language)] == words


def spoken(parts: list[str], begins: list[int], rows: int) -> list[TimedWord]:
    """`begins`: rows, of each token and of the end."""
    weights = np.full((1, len(parts) + 3, rows), 1e-3, np.float32)  # an opening of two tokens, the text, the end
    for number, (start, end) in enumerate(zip(begins, [*begins[1:], rows], strict=True)):
        weights[0, 1 + number, start:end] = 1.0
    told = {number: part.encode() for number, part in enumerate(parts)}
    text = SpokenTokens(list(told), [0.5] * (len(parts) - 1) + [1.0], "en")
    return timed_words(text, told, weights, rows)


def test_times_of_words() -> None:
    words = spoken([" One", " two", " thr", "ee", "."], [0, 50, 100, 120, 150, 160], 300)
    assert [word.text for word in words] == [" One", " two", " three."]
    assert [word.tokens for word in words] == [1, 1, 3]
    starts = [word.start for word in words]
    assert starts == pytest.approx([0.0, 1.0, 2.0], abs=0.1) and words[0].end == words[1].start
    assert words[2].end == pytest.approx(3.0, abs=0.1)  # the full stop has no time of its own
    assert [word.probability for word in words] == [0.5, 0.5, 0.5]


def test_punctuation_goes_with_the_word_beside_it() -> None:
    words = spoken([" He", " (", "or", " she", ")", ",", " said", " “", "no", "”", "."], list(range(0, 240, 20)), 240)
    assert [word.text for word in words] == [" He", " (or", " she),", " said", " “no”."]
    assert sum(word.tokens for word in words) == 11


def test_a_pause_behind_a_sentence_belongs_to_no_word() -> None:
    words = spoken([" One", ".", " Two", " three"], [0, 20, 40, 180, 200], 220)
    assert [word.text for word in words] == [" One.", " Two", " three"]
    assert words[1].end - words[1].start < 1.5


def word(text: str, start: float, end: float) -> TimedWord:
    return TimedWord(text=text, tokens=1, start=start, end=end, probability=1.0)


def test_words_go_into_their_segments() -> None:
    words = [word(" a", 0.1, 0.4), word(" b", 0.4, 0.8), word(" c", 2.0, 2.3)]
    first, second = placed([Span(0.0, 1.0, 2), Span(1.9, 2.4, 1)], words, BETWEEN)
    assert [[word.text for word in span.words] for span in (first, second)] == [[" a", " b"], [" c"]]
    assert (first.start, first.end, second.start, second.end) == (0.1, 0.8, 2.0, 2.3)


def test_a_segment_knows_better_where_attention_is_far_off() -> None:
    words = [word(" a", 0.0, 3.0), word(" b", 3.0, 3.3), word(" c", 3.3, 3.6), word(" d", 3.6, 9.0)]
    (found,) = placed([Span(2.5, 4.0, 4)], words, BETWEEN)
    assert 2.0 < found.words[0].start <= 2.5 and found.words[0].end == 3.0
    assert (found.start, found.end) == (found.words[0].start, found.words[-1].end) and found.end < 4.5


def test_a_span_without_words_stays() -> None:
    assert list(placed([Span(1.0, 2.0, 0)], [], BETWEEN)) == [Span(1.0, 2.0, 0)]


def test_no_word_ends_after_the_recording() -> None:
    (found,) = placed([Span(0.0, 2.0, 2)], [word(" a", 0.0, 1.8), word(" b", 1.8, 2.4)], Between(0.0, 2.0))
    assert (found.end, found.words[-1].start, found.words[-1].end) == (2.0, 1.8, 2.0)
