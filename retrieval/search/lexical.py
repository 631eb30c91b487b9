"""Text analysis and BM25 formulas of the word index, shared by both databases.

Analysis as Lucene's for English (stop words, possessives, stems) on top of what every script needs: one spelling of each
character (NFKD without accents), no case, characters in pairs where a script does not set words apart. Codes such as AB-123
are indexed by their parts and as a whole. Scores are BM25 as Lucene computes it (Kamphuis et al., 2020), without the
constant factor k1 + 1, as Lucene since 8.
"""

import re
import threading
import unicodedata
from collections.abc import Iterator
from functools import cache
from itertools import pairwise

import numpy as np
import Stemmer
from numpy.typing import NDArray

K1, B = 1.2, 0.75  # BM25: term saturation; length normalization
MAX_TERM = 64  # characters; longer terms are truncated
STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to
        was will with""",
    )
)
POSSESSIVE = re.compile(r"['’]s?$", re.IGNORECASE)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
JOINTS = "-_./:@+&#,'’"
JOINT = re.compile(f"[{JOINTS}]")
RAISED = re.compile(r"(?<=\d)(?=[⁰¹²³⁴-⁹])")  # exponents and footnotes: 500¹ is not 5001
ACCENT = re.compile("[\u0300-\u036f]")
# scripts that do not set words apart (Thai to Myanmar, Khmer, kana, Han), and Hangul, whose words carry their endings
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
ASCII_RUN = re.compile(f"[A-Za-z0-9]+(?:[{JOINTS}][A-Za-z0-9]+)*")


class _ThreadStemmer(threading.local):
    """A stemmer must not be used by two threads at once."""

    def __init__(self) -> None:
        self.stem = Stemmer.Stemmer("english").stemWord


_STEMMER = _ThreadStemmer()


def terms(text: str) -> list[str]:
    """The terms in text order, with repetitions. No term is empty or holds a space."""
    if text.isascii():
        return [term[:MAX_TERM] for run in ASCII_RUN.findall(text) for term in _run_terms(run)]
    plain = unicodedata.normalize("NFKC", ACCENT.sub("", unicodedata.normalize("NFKD", RAISED.sub(" ", text))))
    return [
        term[:MAX_TERM] for found in _run_pattern().finditer(plain) for term in (_bigrams if found.lastgroup else _run_terms)(found.group())
    ]


def idf(count: int, df: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse document frequency of terms that occur in `df` [terms] of `count` chunks."""
    return np.log1p((count - df + 0.5) / (df + 0.5))


def saturation(tf: NDArray[np.float32], length: NDArray[np.float32], average: float) -> NDArray[np.float32]:
    """BM25 term frequency factor, 0..1, of `tf` occurrences in chunks of `length` terms. `average`: mean length of all chunks."""
    return np.divide(tf, tf + length * np.float32(K1 * B / average) + np.float32(K1 * (1 - B)), dtype=np.float32)


def _run_terms(run: str) -> Iterator[str]:
    """Words that punctuation joins: "Müller-Lüdenscheidt's", "AB-123", "1,000.5"."""
    run = POSSESSIVE.sub("", run.casefold())
    parts = JOINT.split(run)
    for part in parts:
        if not part.isascii() or not part.isalpha():
            yield part
        elif part not in STOP_WORDS:
            yield _STEMMER.stem(part)
    if len(parts) > 1 and any(character.isdigit() for character in run):
        yield THOUSANDS.sub("", run)


def _bigrams(run: str) -> Iterator[str]:
    return map("".join, pairwise(run)) if len(run) > 1 else iter(run)


@cache
def _run_pattern() -> re.Pattern[str]:
    """Of any script: marks (vowel signs) belong to the letter before them, which Python's \\w does not know."""
    marks = "".join(chr(code) for code in range(0x370, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    letter, mark = rf"[^\W_{UNSPACED}]", f"[{marks}]"
    word = f"{letter}+(?:{mark}+{letter}*)*"
    return re.compile(f"(?P<unspaced>[{UNSPACED}]+)|{word}(?:[{JOINTS}]{word})*")
