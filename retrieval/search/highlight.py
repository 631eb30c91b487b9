"""Finds the words of a text that match a query, by the analysis of the word index."""

import re
from collections.abc import Iterator

from retrieval.analysis.languages import DEFAULT
from retrieval.analysis.terms import index_terms, text_language
from retrieval.analysis.words import JOINTS, UNSPACED

WORD = re.compile(rf"(?P<unspaced>[{UNSPACED}]+)|[^\W{UNSPACED}]+(?:[{JOINTS}][^\W{UNSPACED}]+)*")


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Character spans in the order of `text`; they neither touch nor overlap."""
    language = text_language(text) or DEFAULT
    wanted = set(index_terms(query, language).terms)
    spans: list[tuple[int, int]] = []
    for start, end in _words(text):
        if wanted.isdisjoint(index_terms(text[start:end], language).terms):
            continue
        if spans and spans[-1][1] >= start:
            start = spans.pop()[0]
        spans.append((start, end))
    return spans


def _words(text: str) -> Iterator[tuple[int, int]]:
    """Where a script does not set words apart: each pair of characters, as the index has them."""
    for found in WORD.finditer(text):
        start, end = found.span()
        if found.lastgroup is None or end - start < 3:
            yield start, end
        else:
            yield from ((at, at + 2) for at in range(start, end - 1))
