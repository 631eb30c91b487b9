"""Brings an answer in a grammar to its end before its tokens run out, or when it repeats itself. Small models need that: within a string
of JSON nothing but a quotation mark ends them.

Before a token is accepted, the shortest end after it is found (engine/embedded/shortest_end.py); where that would need more tokens
than are left, the end that was found for the place before is written instead. So an answer that fits is never cut, and one that does
not fit ends in the last possible moment. Far from the limit nothing is looked for."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock

import numpy as np
from llguidance import LLTokenizer

from engine.api import Grammar, Request
from engine.embedded.sampling.grammar import Matcher
from engine.embedded.sampling.shortest_end import EndFinder, Units

LOOP_LENGTH, MAX_PERIOD = 128, 32  # tokens: a repetition is a tail this long that equals the one at most MAX_PERIOD before it
CHECK_INTERVAL = 8  # tokens between two searches for repetitions
MIN_HORIZON, HORIZON_FACTOR = 96, 3  # an end is looked for in the last so many tokens, or so many times the longest end so far
FIRST_BLIND = 8  # tokens without a search after one that has found nothing; twice as many each time
MAX_STEPS = 150  # of a search in the engine's thread, where others wait
KEPT = 64  # first ends that are remembered


class Closers:
    """Makes closers for one tokenizer. Thread-safe, and slow at times: not for the engine's thread."""

    def __init__(self, tokenizer: Callable[[], LLTokenizer]) -> None:
        self._tokenizer, self._lock = tokenizer, Lock()
        self._finders: dict[tuple[str, ...], EndFinder] = {}  # by marks, of which a model has one or two sets
        self._first_ends: OrderedDict[bytes, Units | None] = OrderedDict()

    def new(self, request: Request, matcher: Matcher, most: int) -> "Closer":
        """`request`: with a grammar and `closing`. `matcher`: of its grammar, at the beginning. `most`: tokens of the whole answer."""
        assert request.grammar is not None and request.closing is not None
        marks = request.closing.marks
        with self._lock:
            finder, key = self._finder(marks), _digest(request.owner, request.grammar, marks)
            known = key in self._first_ends
        first = self._first_ends.get(key) if known else finder.find(matcher.fork())
        with self._lock:
            self._first_ends[key] = first
            self._first_ends.move_to_end(key)
            if len(self._first_ends) > KEPT:
                self._first_ends.popitem(last=False)
        return Closer(finder, first, most)

    def _finder(self, marks: tuple[str, ...]) -> EndFinder:
        if marks not in self._finders:
            self._finders[marks] = EndFinder(self._tokenizer(), marks)
        return self._finders[marks]


class Closer:
    """For one answer."""

    def __init__(self, ends: EndFinder, first: Units | None, most: int) -> None:
        """`first`: an end for the empty answer, None if none was found."""
        self._ends, self._end, self._most = ends, first, most
        self._horizon = _horizon(first or ())
        self._end_at = 0  # tokens of the answer before `_end`
        self._blind_until, self._blind = 0, FIRST_BLIND  # no search before so many tokens
        self._tokens: list[int] = []
        self._queue: list[int] = []  # the rest of the end that is being written
        self.begun = False  # the end is being written
        self.stuck = False  # the answer repeats itself, and no end was found

    @property
    def done(self) -> bool:
        """Whether the end has been written."""
        return self.begun and not self._queue

    def accept(self, token: int) -> None:
        self._tokens.append(token)

    def next_token(self) -> int:
        """Of the end, once it has begun."""
        return self._queue.pop(0)

    def choose(self, matcher: Matcher, wanted: int, stop: frozenset[int]) -> int:
        """The token to write where the model wants `wanted`: that, or the first of the end."""
        left = self._most - len(self._tokens)
        if wanted in stop:
            return wanted
        looping = not matcher.complete and self._is_looping()
        if not looping and (left > self._horizon or self._fits(matcher, wanted, left - 1)):
            return wanted
        if matcher.complete:
            self.begun, self._horizon = bool(stop), -1
            return min(stop, default=wanted)
        return self._begin(matcher, wanted, left, looping=looping)

    def _fits(self, matcher: Matcher, wanted: int, left: int) -> bool:
        """Whether the shortest end after `wanted` has at most `left` tokens."""
        count = len(self._tokens) + 1
        if count < self._blind_until or (after := matcher.fork_after(wanted)) is None:
            return True
        end = self._ends.find(after, self._end or (), MAX_STEPS)
        if end is None:
            return self._search_later(count, left)
        if len(end) > left and len(self._ends.to_tokens(after, end)) > left:
            return False
        self._end, self._end_at, self._horizon = end, count, max(self._horizon, _horizon(end))
        return True

    def _search_later(self, count: int, left: int) -> bool:
        """Whether the answer may go on to where no end was found: not if the one before it could not be used any more."""
        if self._end_at == count - 1 and self._end is not None and left <= len(self._end) + FIRST_BLIND:
            return False
        self._blind_until, self._blind = count + self._blind, 2 * self._blind
        return True

    def _begin(self, matcher: Matcher, wanted: int, left: int, *, looping: bool) -> int:
        known = self._end if self._end is not None and self._end_at == len(self._tokens) else None
        end = known or self._ends.find(matcher.fork(), self._end or (), MAX_STEPS)
        tokens = [] if end is None else self._ends.to_tokens(matcher.fork(), end)
        if not tokens or len(tokens) > left:
            self.stuck, self._horizon = looping, -1
            return wanted
        self._queue, self.begun = tokens[1:], True
        return tokens[0]

    def _is_looping(self) -> bool:
        if len(self._tokens) < LOOP_LENGTH + MAX_PERIOD or len(self._tokens) % CHECK_INTERVAL:
            return False
        tail = np.array(self._tokens[-LOOP_LENGTH - MAX_PERIOD :])
        return any(np.array_equal(tail[-LOOP_LENGTH:], tail[-LOOP_LENGTH - period : -period]) for period in range(1, MAX_PERIOD + 1))


def _digest(owner: str, grammar: Grammar, marks: tuple[str, ...]) -> bytes:
    """What stands for a grammar, which may be large. Of each owner apart: nobody is to learn what others have sent."""
    return blake2b(repr((owner, grammar, marks)).encode(errors="replace"), digest_size=16).digest()


def _horizon(end: Units) -> int:
    return max(MIN_HORIZON, HORIZON_FACTOR * len(end))
