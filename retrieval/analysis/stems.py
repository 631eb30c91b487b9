"""The stems of a word, by Snowball's stemmer for its language (Porter 2001, https://snowballstem.org)."""

import threading
from functools import lru_cache

import Stemmer

from retrieval.analysis.words import without_accents

MAX_TERM = 64  # characters; longer terms are truncated
CACHED_WORDS = 1 << 16
_WITHOUT_STEMMER = frozenset(["", "lv", "sl", "uk", "vi"])
_SAME_AS = {"hr": "sr"}  # stemmed alike; Serbian's stemmer writes both of its scripts in Latin letters
_DIGRAPHS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})  # where the letters cannot be typed


class _ThreadStemmers(threading.local):
    """A stemmer must not be used by two threads at once."""

    def __init__(self) -> None:
        self._known: dict[str, Stemmer.Stemmer | None] = {}

    def stem(self, word: str, language: str) -> str:
        if language not in self._known:
            self._known[language] = Stemmer.Stemmer(language) if language not in _WITHOUT_STEMMER else None
        stemmer = self._known[language]
        return word if stemmer is None else stemmer.stemWord(word)


_STEMMERS = _ThreadStemmers()


@lru_cache(CACHED_WORDS)
def stems(word: str, language: str) -> tuple[str, ...]:
    """Index terms of a case-folded word, marked with the language; more than one if it may also be spelt in plain letters, without
    accents ("información", "informacion") or with digraphs ("Kündigung", "Kuendigung")."""
    language = _SAME_AS.get(language, language)
    spellings = (word,) if word.isascii() else (word, without_accents(word), without_accents(word.translate(_DIGRAPHS)))
    found = dict.fromkeys(without_accents(_STEMMERS.stem(spelling, language)) for spelling in spellings)
    return tuple(f"{language}:{stem}"[:MAX_TERM] for stem in found if stem)
