"""The shortest way in which a text that has begun in a grammar can end, as tokens.

A grammar can be asked what may come next, but not what is missing. So an end is searched byte by byte: what ends an object, an array
or a string is tried first, and where several bytes could begin what must follow (keys, values of an enumeration), each of them in
turn, with a limited number of departures from the first choice (limited discrepancy search, Harvey and Ginsberg 1995). Strings of a
given form (an address, a least length) are filled with characters that occur in most forms. What is found is not always the shortest
end, and in some grammars (a pattern that wants certain letters late) none is found."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import numpy as np
from llguidance import LLMatcher, LLTokenizer
from numpy.typing import NDArray

LETTERS = frozenset(b"kqz")  # they begin no word of JSON: where all of them may come, whatever is written is text
QUOTE, MINUS = ord('"'), ord("-")
CLOSERS = b"}])"
SPECIAL = b"\xff"  # before the number of a special token among bytes; no part of UTF-8
PREFERRED = b'"0Zn[{Ttf-,:'  # what else may begin or separate values, the shortest first
FILLERS = b"a@.:-TZ012/ "  # in turn, where a string of a given form may not end yet
DIGITS = frozenset(b"0123456789")
WHITESPACE = frozenset(b" \n\t\r")
MAX_STEPS = 600  # of one search, of some 50 µs each
KEPT = 1024  # sets of bytes that may come next, with what follows from each
IMPROVING = 4  # steps after an end has been found, for each of its bytes
MAX_DEPARTURES = 3
MAX_PADDING = 64  # tokens of spaces in a string before FILLERS are tried
HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
MANY = 8  # bytes of a kind, of which one may stand for all
MAX_CHOICES = 16
MAX_REPEATS = 40  # of one byte, before a way is given up
MAX_SUFFIXES = 48  # of a known end that are tried before a search

Units = tuple[int, ...]  # tokens of single bytes, of padding, and special ones


class _Choice(NamedTuple):
    """What may come next."""

    units: Units
    filler: int = -1  # the one of FILLERS that comes after it; -1: none so far in this string
    padding: int = 0  # tokens of padding so far in this string


@dataclass(frozen=True, slots=True)
class _Allowed:
    """The bytes that may come next. `others`: the choices where they are no text."""

    bytes: frozenset[int]
    is_text: bool
    others: tuple[_Choice, ...]


class _Node(NamedTuple):
    """A place in the grammar. `units` lead to it."""

    matcher: LLMatcher
    units: Units
    departures: int = 0
    filler: int = -1
    padding: int = 0

    def after(self, choice: _Choice, departures: int) -> "_Node":
        copy = self.matcher.deep_copy()
        copy.try_consume_tokens(list(choice.units))
        return _Node(copy, (*self.units, *choice.units), self.departures + departures, choice.filler, choice.padding)


@dataclass(slots=True)
class _Search:
    waiting: deque[tuple[_Node, _Choice]]
    steps_left: int
    best: Units | None = None

    def may_follow(self, node: _Node) -> bool:
        repeated = node.padding == 0 and len(node.units) > MAX_REPEATS and len(set(node.units[-MAX_REPEATS:])) == 1
        return self.steps_left > 0 and not repeated and (self.best is None or len(node.units) < len(self.best))


class EndFinder:
    """For one tokenizer, whose end-of-text tokens are never part of an end. `marks`: strings that end a text in which a quotation
    mark does not."""

    def __init__(self, tokenizer: LLTokenizer, marks: Sequence[str] = ()) -> None:
        self._tokenizer, self._marks = tokenizer, [tuple(tokenizer.tokenize_str(mark)) for mark in marks]
        vocabulary = _Vocabulary(tokenizer)
        self._bytes, self._special, self._paddings = vocabulary.bytes, vocabulary.special, vocabulary.paddings
        self._byte_values, self._byte_tokens = np.array(list(self._bytes), np.int64), np.array(list(self._bytes.values()), np.int64)
        self._allowed_sets: dict[bytes, _Allowed] = {}

    def find(self, matcher: LLMatcher, known: Units = (), max_steps: int = MAX_STEPS) -> Units | None:
        """What completes the grammar; None if nothing was found. `known`: an end found for an earlier place, a part of which may do.
        Leaves `matcher` as it is."""
        if matcher.is_accepting():
            return ()
        return next(self._suffixes(matcher, known), None) or self._search(matcher, max_steps)

    def to_tokens(self, matcher: LLMatcher, units: Units) -> list[int]:
        """The same text in fewer tokens."""
        special, tokens, run = frozenset(self._special.tolist()), list[int](), list[int]()
        for unit in units:
            if unit in special:
                tokens, run = [*tokens, *self._joined(run), unit], []
            else:
                run.append(unit)
        tokens += self._joined(run)
        return tokens if len(tokens) <= len(units) and _completes(matcher, tokens) else list(units)

    def _joined(self, run: Sequence[int]) -> list[int]:
        return self._tokenizer.tokenize_bytes(self._tokenizer.decode_bytes(list(run))) if run else []

    def _suffixes(self, matcher: LLMatcher, known: Units) -> Iterator[Units]:
        for begin in range(min(len(known), MAX_SUFFIXES)):
            if matcher.validate_tokens([known[begin]]) and _completes(matcher, known[begin:]):
                yield known[begin:]

    def _search(self, matcher: LLMatcher, max_steps: int) -> Units | None:
        search = _Search(deque(), steps_left=max_steps)
        self._follow(_Node(matcher.deep_copy(), ()), search)
        while search.waiting and search.steps_left > 0:
            node, choice = search.waiting.popleft()
            self._follow(node.after(choice, 1), search)
        return search.best

    def _follow(self, node: _Node, search: _Search) -> None:
        """Takes the first choice until the grammar is complete; the others wait."""
        while search.may_follow(node):
            if node.matcher.is_accepting():
                search.best, search.steps_left = node.units, min(search.steps_left, IMPROVING * len(node.units))
                return
            search.steps_left -= 1
            choices = self._choices(node)
            if not choices:
                return
            if node.departures < MAX_DEPARTURES:
                search.waiting.extend((node, choice) for choice in choices[1:MAX_CHOICES])
            node = node.after(choices[0], 0)

    def _choices(self, node: _Node) -> list[_Choice]:
        """The best one first."""
        text, _, _ = node.matcher.compute_ff_bytes().partition(SPECIAL)
        if forced := [self._bytes.get(byte) for byte in text]:
            units = tuple(token for token in forced if token is not None)
            if len(units) == len(forced):
                return [_Choice(units)]
        allowed, special = self._allowed(node.matcher)
        specials = [_Choice((token,)) for token in special]
        if allowed.is_text:
            ends = [_Choice(units) for units in self._text_ends(node.matcher, allowed.bytes, special)]
            return ends or self._fillings(node, allowed.bytes) or [*allowed.others, *specials]
        return [*allowed.others, *specials]

    def _allowed(self, matcher: LLMatcher) -> tuple[_Allowed, list[int]]:
        """Bytes and special tokens."""
        bits = np.frombuffer(matcher.compute_bitmask(), np.uint8)
        chosen = _chosen(bits, self._byte_tokens)
        if (found := self._allowed_sets.get(key := chosen.tobytes())) is None:
            if len(self._allowed_sets) >= KEPT:
                self._allowed_sets.clear()
            found = self._allowed_sets[key] = self._new_allowed(frozenset(self._byte_values[chosen].tolist()))
        return found, self._special[_chosen(bits, self._special)].tolist()

    def _new_allowed(self, allowed: frozenset[int]) -> _Allowed:
        closers = [byte for byte in CLOSERS if byte in allowed][:1]
        best_first = sorted(_representatives(allowed - WHITESPACE or allowed), key=lambda byte: (PREFERRED.find(byte) % 256, byte))
        return _Allowed(allowed, allowed >= LETTERS, tuple(_Choice((self._bytes[byte],)) for byte in closers or best_first))

    def _text_ends(self, matcher: LLMatcher, allowed: frozenset[int], special: list[int]) -> list[Units]:
        """The first of a quotation mark, special tokens and `marks` that ends the text."""
        candidates = [(self._bytes[QUOTE],)] if QUOTE in allowed else []
        candidates += [(token,) for token in special]
        candidates += [mark for mark in self._marks if matcher.validate_tokens(list(mark)) == len(mark)]
        return next(([units] for units in candidates if self._leaves_text(matcher, units)), [])

    def _leaves_text(self, matcher: LLMatcher, units: Units) -> bool:
        copy = matcher.deep_copy()
        copy.try_consume_tokens(list(units))
        return copy.is_accepting() or not self._allowed(copy)[0].is_text

    def _fillings(self, node: _Node, allowed: frozenset[int]) -> list[_Choice]:
        """Spaces, which make the fewest tokens, or from the beginning of the string on one of FILLERS after another."""
        filler, padding, first = node.filler, node.padding, max(node.filler, 0)
        found = (i % len(FILLERS) for i in range(first, first + len(FILLERS)) if FILLERS[i % len(FILLERS)] in allowed)
        fillings = [_Choice((self._bytes[FILLERS[i]],), i + 1) for i in islice(found, 1)]
        pad = next((token for token in self._paddings if node.matcher.validate_tokens([token])), None)
        if filler >= 0 or pad is None or padding == MAX_PADDING:
            return fillings
        return [_Choice((pad,), -1, padding + 1), *(fillings if padding == 0 else ())]


class _Vocabulary:
    """`bytes`: byte -> its token. `paddings`: tokens of spaces only, the longest first, then those of the letter a."""

    def __init__(self, tokenizer: LLTokenizer) -> None:
        self.bytes, paddings, special = dict[int, int](), dict[bytes, int](), list[int]()
        for token in range(tokenizer.vocab_size):
            if tokenizer.is_special_token(token):
                special.append(token)
            elif len(text := tokenizer.decode_bytes([token])) == 1:
                self.bytes.setdefault(text[0], token)
            if text := tokenizer.decode_bytes([token]):
                paddings |= {text: token} if text in (b" " * len(text), b"a" * len(text)) else {}
        ends = frozenset(tokenizer.eos_tokens)
        self.special: NDArray[np.int64] = np.array([token for token in special if token not in ends], np.int64)
        self.paddings = [token for _, token in sorted(paddings.items(), key=lambda entry: (entry[0][:1], -len(entry[0])))]


def _completes(matcher: LLMatcher, tokens: Sequence[int]) -> bool:
    copy = matcher.deep_copy()
    return copy.try_consume_tokens(list(tokens)) == len(tokens) and copy.is_accepting()


def _chosen(bits: NDArray[np.uint8], tokens: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (bits[tokens >> 3] >> (tokens & 7).astype(np.uint8) & 1).astype(np.bool_)


def _representatives(allowed: frozenset[int]) -> set[int]:
    """Bytes that stand for all that are allowed: of digits the lowest and, unless a number begins, the highest; of parts of characters
    the lowest; of hexadecimal digits no letters."""
    digits, partial = sorted(DIGITS & allowed), sorted(byte for byte in allowed if byte >= 128)
    others = {byte for byte in allowed - DIGITS if byte < 128}
    letters = {byte for byte in others if chr(byte).isalpha()}
    if len(digits) >= MANY and letters <= HEXADECIMAL:
        others -= letters
    if MINUS not in allowed:
        others |= set(digits[-1:])
    return {*digits[:1], *others, *(partial if len(partial) <= MANY else partial[:1])}
