"""The words of a text: runs of letters and digits, joined by punctuation or not, in one spelling of each character."""

import re
import unicodedata
from functools import cache

JOINTS = "-_./:@+&#,'’"
ACCENT = re.compile("[\u0300-\u036f]")
# scripts that do not set words apart (Thai to Myanmar, Khmer, kana, Han), and Hangul, whose words carry their endings
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
ASCII_RUN = re.compile(f"[A-Za-z0-9]+(?:[{JOINTS}][A-Za-z0-9]+)*")
_HYPHENS = re.compile("[\u2010-\u2015\u2212]")
_RAISED = re.compile(r"(?<=\d)(?=[⁰¹²³⁴-⁹])|(?<=[^\W\d_]{3})(?=[⁰¹²³⁴-⁹])")  # exponents and footnotes: 500¹ is not 5001, nor Price¹ Price1
_BARRED = str.maketrans({"ø": "o", "đ": "d", "ð": "d", "ł": "l", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})  # NFKD keeps these


def runs(text: str) -> list[re.Match[str]]:
    """Runs of joined words in a text that `composed` returned; those of scripts without spaces have the group "unspaced"."""
    return list((ASCII_RUN if text.isascii() else _run_pattern()).finditer(text))


def composed(text: str) -> str:
    """In compatibility form with accents, where a letter has them as one character; any hyphen as "-"."""
    return text if text.isascii() else _HYPHENS.sub("-", unicodedata.normalize("NFKC", _RAISED.sub(" ", text)))


def without_accents(word: str) -> str:
    """For a case-folded word."""
    if word.isascii():
        return word
    return unicodedata.normalize("NFC", ACCENT.sub("", unicodedata.normalize("NFKD", word))).translate(_BARRED)


@cache
def _run_pattern() -> re.Pattern[str]:
    """Of any script: marks (vowel signs, accents) belong to the letter before them, which Python's \\w does not know."""
    marks = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code)) in ("Mn", "Mc"))
    letter, mark = rf"[^\W_{UNSPACED}]", f"[{marks}]"
    word = f"{letter}+(?:{mark}+{letter}*)*"
    return re.compile(f"(?P<unspaced>[{UNSPACED}]+)|{word}(?:[{JOINTS}]{word})*")
