"""Codes, numbers and names in a text: what a claim must share with its source, word for word."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from retrieval.analysis.function_words import FUNCTION_WORDS
from retrieval.analysis.terms import terms
from retrieval.analysis.words import composed

_JOINED = r"[\s\-_./:#]{0,2}"
_TOKEN = re.compile(r"(?<![^\W_])[^\W_]+(?:[-_/:.#][^\W_]+)*")
_PIECES = re.compile(r"\d+|[^\W\d_]+")
_LABELLED = re.compile(r"(?<![^\W_])([^\W\d_]{2,})\s+(?:no\.?\s*|nr\.?\s*|#)?(\d{2,})(?![^\W_]|[.,]\d)", re.IGNORECASE)
_LONG_NUMBER = re.compile(r"(?<![^\W_]|[.,])\d{5,}(?![^\W_]|[.,]\d)")
_THOUSANDS = re.compile(r"(?<=\d)[.,](?=\d{3}(?!\d))")
_MEASURE = re.compile(r"\d+(?:st|nd|rd|th|s|[x%]|[ap]m|[kmgt]?b|[kmcµn]?[mgl]|k?wh?|[gmk]?hz|min|h|eur|usd)", re.IGNORECASE)
_NAME = re.compile(r"(?<=[\w,;:)] )[A-ZÀ-ÞА-Я][\w'’-]+")
_CAPITALIZES_NOUNS = frozenset(["de"])  # languages
_FUNCTION_WORDS = frozenset[str]().union(*FUNCTION_WORDS.values())
_YEARS = range(1900, 2100)
MAX_CODES = 3  # of a question; a pasted log has more, and none of them is what the question is about
MAX_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Identifiers:
    codes: frozenset[str]  # "ppr 9087": letters and digits in their order, case-folded, however they are joined in the text
    numbers: frozenset[str]
    names: frozenset[str]  # terms of capitalized words within sentences


def identifiers(text: str, language: str) -> Identifiers:
    names = () if language in _CAPITALIZES_NOUNS else _NAME.findall(text)
    return Identifiers(
        codes=frozenset(_codes(text)),
        numbers=numbers(text),
        names=frozenset(term for name in names for term in terms(name, language)),
    )


class Source:
    """What a claim may be quoted from: a sentence of a passage, the passage, and what stands above it (file name, headings)."""

    def __init__(self, sentence: str, passage: str, above: str, language: str) -> None:
        self._sentence, self._passage, self._above = (composed(text).casefold() for text in (sentence, passage, above))
        self._held = identifiers(sentence, language)
        self._words = frozenset(terms(f"{sentence} {above}", language))

    def contradicts(self, claimed: Identifiers) -> bool:
        """Whether the claim is about a code or name that the sentence has not and another one instead, or about a code that the passage
        has not."""
        foreign_names = self._held.names - claimed.names
        return any(self._lacks(code) for code in claimed.codes) or bool(foreign_names and claimed.names - self._words)

    def _lacks(self, code: str) -> bool:
        if holds_code(self._sentence, code) or holds_code(self._above, code):
            return False
        return bool(self._held.codes) or not holds_code(self._passage, code)


def numbers(text: str) -> frozenset[str]:
    """Runs of two digits and more, without separators of thousands."""
    return frozenset(re.findall(r"(?<![^\W_])\d{2,}", _THOUSANDS.sub("", text)))


def unknown_codes(question: str, texts: Sequence[str]) -> frozenset[str]:
    """The codes that the question asks about, if none of them stands in the texts; else none."""
    if len(question) > MAX_CHARACTERS:
        return frozenset()
    searched = [composed(text).casefold() for text in texts]
    asked = frozenset((*_codes(question), *_labelled(question, searched), *_LONG_NUMBER.findall(question)))
    known = any(holds_code(text, code) for text in searched for code in asked)
    return frozenset() if known or len(asked) > MAX_CODES else asked


def holds_code(text: str, code: str) -> bool:
    """Whether the code stands in a case-folded text, however its parts are joined there."""
    return bool(_pattern(code).search(text))


@lru_cache(1024)
def _pattern(code: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![^\W_]){_JOINED.join(map(re.escape, code.split()))}(?![^\W_])")


def _codes(text: str) -> Iterable[str]:
    """Tokens with letters and at least two digits: PPR-9087, E17, 0x80070099; no ordinals, measures and dates."""
    for token in _TOKEN.findall(composed(text).casefold()):
        pieces = _PIECES.findall(token)
        digits = sum(len(piece) for piece in pieces if piece.isdigit())
        if digits >= 2 and digits < len("".join(pieces)) and not _MEASURE.fullmatch(token):
            yield " ".join(pieces)


def _labelled(question: str, texts: Sequence[str]) -> Iterable[str]:
    """Numbers behind a word, where the texts have the word before other numbers of the same length: "ppr 9999", "invoice 20448"."""
    for word, number in _LABELLED.findall(composed(question).casefold()):
        if word in _FUNCTION_WORDS or int(number) in _YEARS:
            continue
        family = re.compile(rf"(?<![^\W_]){re.escape(word)}{_JOINED}(?:no\.?\s*|nr\.?\s*)?\d{{{len(number)}}}(?!\d)")
        standing = re.compile(rf"(?<!\d){number}(?!\d)")
        if any(family.search(text) for text in texts) and not any(standing.search(text) for text in texts):
            yield f"{word} {number}"
