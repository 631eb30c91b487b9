"""The language of a text, as far as the word index needs it: which stemmer, which function words."""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from retrieval.analysis.function_words import FUNCTION_WORDS

DEFAULT = "en"  # of Latin script, where nothing tells the language
_WORDS = re.compile(r"[^\W\d_]+")
SAMPLE = 600  # words of a text that are looked at, at most
MIN_EVIDENCE = 2.0  # weight of function words and letters, below which a text tells nothing
MIN_SHARE = 0.06  # of all words: a list of names holds a function word of some language by chance

# Letters that few languages have, as they are written; each counts like a function word shared by as many languages.
_LETTERS = {
    "ß": "de",
    "ä": "de fi sv et",
    "ö": "de fi sv et hu tr",
    "ü": "de et hu tr es",
    "å": "da no sv",
    "æø": "da no",
    "ñ¿¡": "es",
    "ãõ": "pt",
    "œ": "fr",
    "țșă": "ro",
    "őű": "hu",
    "ğşı": "tr",
    "łżąęńś": "pl",
    "ěřů": "cs",
    "ėųįū": "lt",
    "ļķņģ": "lv",
    "đć": "hr",
    "ђљњћџј": "sr",
    "єіїґ": "uk",
    "پچژگ": "fa",
}


@dataclass(frozen=True, slots=True)
class Script:
    first: int  # code points
    last: int
    default: str  # language of its words in a text of another script


_SCRIPTS = (
    Script(0x370, 0x3FF, "el"),
    Script(0x400, 0x52F, "ru"),
    Script(0x530, 0x58F, "hy"),
    Script(0x590, 0x5FF, "yi"),
    Script(0x600, 0x6FF, "ar"),
    Script(0x900, 0x97F, "hi"),
    Script(0xB80, 0xBFF, "ta"),
    Script(0x1F00, 0x1FFF, "el"),
)
_SCRIPTS_OF = {script.default: (script.default,) for script in _SCRIPTS} | {
    "sr": ("ru", DEFAULT),
    "hr": ("ru", DEFAULT),
    "uk": ("ru",),
    "fa": ("ar",),
    "ne": ("hi",),
}


def script_default(word: str) -> str:
    """The language of a word in a text of another script: the best known one of the script of its first letter."""
    code = ord(word[0])
    if code < 0x370:
        return DEFAULT
    return next((script.default for script in _SCRIPTS if script.first <= code <= script.last), "")


def language_of(word: str, language: str) -> str:
    """The language in which a word of a text in `language` is analysed: that, if it is written in the word's script."""
    default = script_default(word)
    return language if default in _SCRIPTS_OF.get(language, (DEFAULT,)) else default


def detect(text: str) -> str:
    """The language of a composed text in lower case; "" if it does not tell."""
    words = _WORDS.findall(text)[:SAMPLE]
    known, letters = _evidence(), _letter_evidence()
    evidence: defaultdict[str, float] = defaultdict(float)
    for found in [known[word] for word in words if word in known]:
        for language, weight in found:
            evidence[language] += weight
    for letter in () if text.isascii() else set(text).intersection(letters):
        for language, weight in letters[letter]:
            evidence[language] += weight * text.count(letter)
    best = max(evidence, key=lambda language: evidence[language], default="")
    return best if best and evidence[best] >= max(MIN_EVIDENCE, MIN_SHARE * len(words)) else ""


@cache
def _evidence() -> Mapping[str, tuple[tuple[str, float], ...]]:
    """Word -> languages that have it, each with the share of one."""
    having: defaultdict[str, list[str]] = defaultdict(list)
    for language, words in FUNCTION_WORDS.items():
        for word in words:
            having[word].append(language)
    return {word: tuple((language, 1 / len(languages)) for language in languages) for word, languages in having.items()}


@cache
def _letter_evidence() -> Mapping[str, tuple[tuple[str, float], ...]]:
    having: defaultdict[str, list[str]] = defaultdict(list)
    for letters, languages in _LETTERS.items():
        for letter in letters:
            having[letter] += languages.split()
    return {letter: tuple((language, 0.5 / len(languages)) for language in languages) for letter, languages in having.items()}
