"""Compares the words of two readings of one document."""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

_WORD = re.compile(r"\w+")
_THOUSANDS = re.compile(r"(?<=\d)[,.'’ ](?=\d{3}(?!\d))")
_FRACTION = re.compile(r"(?<![\w.])\d{1,15}\.\d{1,20}(?![\w.])")
MIN_INSIDE = 4  # characters from which a word counts as found inside others: readers part words at hyphens, lines and scripts differently


@dataclass(frozen=True, slots=True)
class Comparison:
    """`total`: words of the reference, with repetitions. `missing`: those that the reading lacks."""

    total: int
    missing: Counter[str]

    @property
    def share(self) -> float:
        """Of the reference's words that were read, 0..1."""
        return 1 - self.missing.total() / self.total if self.total else 1.0


def compare(reading: str, reference: str) -> Comparison:
    """Case, punctuation, marks between thousands, 2.0 for 2 and compatibility forms (ligatures, superscripts) do not count. A word that the
    reference repeats, as printed headers are on each page, must occur once."""
    ours, wanted = set(words(reading)), Counter(words(reference))
    squeezed = re.sub(r"\W+", "", _plain(reading))
    missing = Counter({word: count for word, count in wanted.items() if word not in ours and not _is_inside(word, squeezed)})
    return Comparison(wanted.total(), missing)


def words(text: str) -> list[str]:
    return _WORD.findall(_plain(text))


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text.replace("\u00ad", "")).casefold()
    return _FRACTION.sub(lambda found: f"{float(found[0]):.15g}", _THOUSANDS.sub("", plain))


def _is_inside(word: str, squeezed: str) -> bool:
    needed = MIN_INSIDE if word.isascii() else MIN_INSIDE // 2
    return len(word) >= needed and word in squeezed
