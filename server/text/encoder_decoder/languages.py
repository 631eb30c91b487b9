"""Languages of a model that translates between several: how a request may call them, and where the model is told."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from server.text.encoder_decoder.iso639 import other_codes

SOURCE, TARGET = "source_language", "target_language"
SHOWN = 60  # languages that an error names


class LanguageError(ValueError):
    """A language is asked for that the model does not have, or none where it needs one. `field`: SOURCE or TARGET."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """As a request calls them. None: it does not say."""

    source: str | None = None
    target: str | None = None

    def over(self, other: "LanguagePair") -> "LanguagePair":
        """What this one does not say is as in `other`."""
        return LanguagePair(self.source or other.source, self.target or other.target)


NO_LANGUAGES = LanguagePair()


@dataclass(frozen=True, slots=True)
class Around:
    """Special tokens before and behind an input."""

    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    def wrap(self, tokens: Iterable[int]) -> tuple[int, ...]:
        return (*self.before, *tokens, *self.after)


@dataclass(frozen=True, slots=True)
class LanguageTokens:
    """Each language is a token. The source's stands around the input, in place of the tokenizer's default; in Marian's nothing tells it.
    The target's is the first of the answer, or the one that answers begin with (mBART's first generation), or stands before the input
    (Marian)."""

    ids: Mapping[str, int]  # by the model's own code
    target_as: Literal["first", "start", "before"]

    def id_of(self, name: str, field: str) -> int:
        """Raises LanguageError."""
        return self.ids[find_code(name, self.ids, field)]

    def with_source(self, around: Around, source: str) -> Around:
        known = frozenset(self.ids.values())
        if not known & {*around.before, *around.after}:
            raise LanguageError(SOURCE, "this model finds out by itself what language it reads; leave it out")
        token = self.id_of(source, SOURCE)
        replaced = (tuple(token if one in known else one for one in side) for side in (around.before, around.after))
        return Around(*replaced)


@dataclass(frozen=True, slots=True)
class TaskPrefixes:
    """Words before the text tell what to do, as T5 was trained: `translate English to German: `."""

    prefixes: Mapping[tuple[str, str], str]  # by source and target

    def prefix(self, pair: LanguagePair) -> str:
        """Raises LanguageError."""
        sources, targets = (list(dict.fromkeys(codes)) for codes in zip(*self.prefixes, strict=True))
        if pair.target is None:
            raise LanguageError(TARGET, f"without it nobody knows what to translate into; there are {_listed(targets)}")
        target = find_code(pair.target, targets, TARGET)
        source = find_code(pair.source, sources, SOURCE) if pair.source else sources[0]
        if (found := self.prefixes.get((source, target))) is None:
            pairs = ", ".join(f"{a} to {b}" for a, b in self.prefixes)
            raise LanguageError(TARGET, f"this model was not trained to translate {source} to {target}; it translates {pairs}")
        return found


def find_code(name: str, codes: Iterable[str], field: str) -> str:
    """The model's own code for a language that is called by it, by its first part (`de` for `de_DE`), or by the code of ISO 639-1, -2
    or -3 that it has otherwise (`de` for `deu_Latn`); of several scripts or countries the first. Raises LanguageError."""
    known = list(codes)
    folded = {code.casefold(): code for code in reversed(known)}
    parts = {code.partition("_")[0].casefold(): code for code in reversed(known)}
    for spelled in _spellings(name):
        if (found := folded.get(spelled) or parts.get(spelled)) is not None:
            return found
    raise LanguageError(field, f"this model does not know the language {name!r}; there are {_listed(known)}")


def _spellings(name: str) -> Iterator[str]:
    whole = name.casefold().replace("-", "_")
    first = whole.partition("_")[0]
    yield whole
    yield from other_codes(whole)
    if first != whole:
        yield first
        yield from other_codes(first)


def _listed(codes: list[str]) -> str:
    more = f" and {len(codes) - SHOWN} more" if len(codes) > SHOWN else ""
    return f"{', '.join(codes[:SHOWN])}{more}"
