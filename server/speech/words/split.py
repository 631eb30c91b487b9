"""Tokens become words."""

import codecs
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

UNSPACED = frozenset({"zh", "ja", "th", "lo", "my", "yue"})  # languages that write no spaces between words
OPENING, CLOSING = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"  # belong to the word behind them, or before them


@dataclass(frozen=True, slots=True)
class TokenWord:
    text: str  # with the space before it
    tokens: int  # how many


def split_words(tokens: Sequence[int], token_bytes: Mapping[int, bytes], language: str) -> list[TokenWord]:
    """At spaces and punctuation; in languages without spaces between any two characters that are not of one token."""
    characters = list(_whole_characters(tokens, token_bytes))
    if language in UNSPACED:
        return characters
    words: list[TokenWord] = []
    for part in characters:
        if not words or part.text.startswith(" ") or part.text.strip() in string.punctuation:
            words.append(part)
        else:
            words[-1] = TokenWord(words[-1].text + part.text, words[-1].tokens + part.tokens)
    return words


def _whole_characters(tokens: Sequence[int], token_bytes: Mapping[int, bytes]) -> Iterator[TokenWord]:
    """As few tokens each as make whole characters."""
    decoder, text, count = codecs.getincrementaldecoder("utf-8")("replace"), "", 0
    for token in tokens:
        text, count = text + decoder.decode(token_bytes[token]), count + 1
        if not decoder.getstate()[0]:
            yield TokenWord(text, count)
            text, count = "", 0
    if count:
        yield TokenWord(text + decoder.decode(b"", final=True), count)
