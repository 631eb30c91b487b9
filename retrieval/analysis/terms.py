"""What a text is indexed and found by.

A word becomes its stem in the language of its text, marked with that language: a query is compared with each chunk in the chunk's own
language. Lucene's English stop words are left out, unless capitals tell that they are something else ("Project A", "IT"). Numbers and
codes are kept as they are; "AB-123" is also found as "AB123", "AB 123" and "123". Scripts that do not set words apart are indexed in
pairs of characters."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from retrieval.analysis import compounds
from retrieval.analysis.languages import DEFAULT, detect, language_of
from retrieval.analysis.stems import MAX_TERM, stems
from retrieval.analysis.words import JOINTS, composed, runs, without_accents

STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        """a an and are as at be but by for if in into is it no not of on or such that the their then there these they this to
        was will with""",
    )
)
_POSSESSIVE = re.compile(r"['’]s?$")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_JOINT = re.compile(f"[{JOINTS}]")
_JOINT_OF_CODE = re.compile(rf"(?<!\d)[{JOINTS}]|[{JOINTS}](?!\d)|(?<=\d)[-_/](?=\d)")  # not the points of 2.10.3
_CODE = re.compile(r"([^\W\d]+)(\d{2,})|(\d{2,})([^\W\d]+)")  # letters and digits: PPR9087, 500mg
_MIN_DIGITS = 6  # of a number that is also found without its hyphens: a date, a telephone number, an ISBN
_SAMPLE = 4000  # characters of a text that tell its language
_CACHED_RUNS = 1 << 15


@dataclass(frozen=True, slots=True)
class Word:
    """`spellings`: its index terms, the usual one first; a chunk that holds one of them holds the word. `stops_in`: languages, of those
    that were asked for, in which it is a stop word."""

    spellings: tuple[str, ...]
    stops_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexedText:
    terms: tuple[str, ...]  # all spellings of all words, with repetitions
    words: int
    language: str


def index_terms(text: str, language: str) -> IndexedText:
    """No term is empty, holds a space or is longer than MAX_TERM."""
    words = _words(text, (language,), query=False)
    return IndexedText(tuple([term for word in words for term in word.spellings]), len(words), language)


def query_words(text: str, languages: Sequence[str]) -> list[Word]:
    """The words of a query in text order, with repetitions, for chunks in any of these languages."""
    return _words(text, tuple(languages), query=True)


def terms(text: str, language: str = DEFAULT) -> list[str]:
    """One term for each word and each part of a compound, in text order, with repetitions: for comparing texts with each other."""
    return [word.spellings[0] for word in _words(text, (language,), query=False)]


def text_language(text: str) -> str:
    """ "" if the text does not tell."""
    return detect(composed(text[:_SAMPLE]).lower())


def _words(text: str, languages: tuple[str, ...], *, query: bool) -> list[Word]:
    text = composed(text)
    found = runs(text)
    words: list[Word] = []
    for at, match in enumerate(found):
        run = match.group()
        if match.lastgroup:
            words += [Word((pair,)) for pair in _pairs(run)]
        else:
            words += _of_run(run.casefold(), languages, run.isupper() and _is_name(text, found, at, query=query))
    return words


@lru_cache(_CACHED_RUNS)
def _of_run(run: str, languages: tuple[str, ...], is_name: bool) -> tuple[Word, ...]:
    """Words that punctuation joins: "müller-lüdenscheidt's", "ab-123", "1,000.5". `is_name`: capitals say that it is no stop word."""
    run = _POSSESSIVE.sub("", run)
    parts = _JOINT.split(run)
    words = [word for part in parts for word in _of_part(part, languages, is_name)]
    if len(parts) > 1 and any(character.isdigit() for character in run):
        code = _THOUSANDS.sub("", run)
        words.append(Word(_spellings(code, _without_joints(code))))
    return tuple(words)


def _of_part(part: str, languages: Sequence[str], is_name: bool) -> Iterator[Word]:
    if any(character.isdigit() for character in part):
        yield Word(_spellings(part))
        if code := _CODE.fullmatch(part):
            for piece in filter(None, code.groups()):
                yield from _of_part(piece, languages, is_name=True)
    elif part in STOP_WORDS and is_name:
        yield Word((part,))
    else:
        own = dict.fromkeys(language_of(part, language) for language in languages)
        stops_in = tuple(language for language in own if language == DEFAULT and part in STOP_WORDS)
        if spellings := dict.fromkeys(term for language in own if language not in stops_in for term in stems(part, language)):
            yield Word(tuple(spellings), stops_in)
        if compounds.LANGUAGE in own:
            yield from map(Word, compounds.parts(part))


def _spellings(*found: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(without_accents(spelling)[:MAX_TERM] for spelling in found if spelling))


def _without_joints(code: str) -> str:
    """The code without what joins its parts; "" if that is part of a number."""
    bare = _JOINT_OF_CODE.sub("", code)
    return "" if bare.isdigit() and len(bare) < _MIN_DIGITS else bare


def _is_name(text: str, found: Sequence[re.Match[str]], at: int, *, query: bool) -> bool:
    """Whether a run of capitals is no stop word. A single letter is a name after another word of its line ("Project A"); in a query
    that is written in capitals nothing is."""
    run = found[at].group()
    if len(run) == 1:
        return at > 0 and not text[found[at - 1].end() : found[at].start()].strip(" ") and found[at - 1].group() != run
    return not query or not any(_is_shouted(other.group()) for other in found[max(at - 1, 0) : at + 2] if other is not found[at])


def _is_shouted(word: str) -> bool:
    return len(word) > 1 and word.isalpha() and word.isupper()


def _pairs(run: str) -> Iterator[str]:
    return map("".join, pairwise(run)) if len(run) > 1 else iter(run)
