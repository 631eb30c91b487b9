"""Finds the words of a text that match a query, by the analysis of the word index."""

import re
from collections.abc import Iterator

from retrieval.search.lexical import JOINTS, UNSPACED, terms

WORD = re.compile(rf"(?P<unspaced>[{UNSPACED}]+)|[^\W{UNSPACED}]+(?:[{JOINTS}][^\W{UNSPACED}]+)*")


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Character spans in the order of `text`; they neither touch nor overlap."""
    wanted = set(terms(query))
    spans: list[tuple[int, int]] = []
    for start, end in _words(text):
        if wanted.isdisjoint(terms(text[start:end])):
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
