"""Brings an answer in a grammar to its end before its tokens run out, or when it repeats itself. Small models need that: within
a string of JSON nothing but a quotation mark ends them.

Some ends cannot be found that way (a pattern that wants certain letters). Progress shows in what the grammar allows: a new state
allows another set of tokens. A string has only a few such states, and one that must be long may end all the same, so it takes many
tokens without a new state to give up."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api import Closing

LOOP_LENGTH, MAX_PERIOD = 128, 32  # tokens: a repetition is a tail this long that equals the one at most MAX_PERIOD before it
CHECK_INTERVAL = 8  # tokens between two searches for repetitions
MAX_STALLED = 1024  # tokens since the end began without a new state of the grammar
QUOTE = '"'
LETTERS = ("k", "q", "z")  # they begin no word of JSON: where all of them may come, whatever is written is text


def closer(closing: Closing, most: int, tokenize: Callable[[str], list[int]]) -> "Closer":
    """`most`: tokens of the whole answer."""
    marks = closing.marks
    return Closer(
        [tokenize(mark) for mark in marks],
        most - closing.tokens,
        text_marks=marks.index(QUOTE) + 1 if QUOTE in marks else len(marks),
        letters=[token for letter in LETTERS for token in tokenize(letter)],
        fillers=[tokenize(filler) for filler in closing.fillers],
        free_tokens=closing.tokens // 4,
    )


class Closer:
    """For one answer."""

    def __init__(
        self,
        marks: Sequence[Sequence[int]],
        start: int,
        *,
        text_marks: int | None = None,
        letters: Sequence[int] = (),
        fillers: Sequence[Sequence[int]] = (),
        free_tokens: int = 0,
    ) -> None:
        """`marks`: tokens of each, the best first. `start`: tokens after which the end begins. `text_marks`: how many of the marks
        end a text, in which all `letters` may come. `free_tokens`: tokens that the model may choose where no mark fits."""
        self._marks, self._start, self._text_marks = [list(mark) for mark in marks if mark], start, text_marks
        self._letters, self._fillers, self._free_tokens = list(letters), [list(one) for one in fillers if one], free_tokens
        self._next = 0  # filler to try first
        self._mark_failed = False  # the last mark was written in a text, and did not end it
        self._tokens: list[int] = []
        self._queue: list[int] = []  # the rest of the mark that is being written
        self._states = set[int]()  # hashes of the sets of tokens that were allowed since then
        self._last_progress = 0  # tokens before the last new state
        self.begun = False  # the end has begun

    @property
    def stuck(self) -> bool:
        """Whether the end cannot be reached."""
        return self.begun and len(self._tokens) - self._last_progress >= MAX_STALLED

    def accept(self, token: int) -> None:
        self._tokens.append(token)

    def choose(self, allowed_Y: NDArray[np.bool_], stop: frozenset[int], complete: bool) -> list[int]:
        """Of which tokens one must come next; []: the model is free."""
        if not self.begun:
            self.begun = not complete and (len(self._tokens) >= self._start or self._is_looping())
        if not self.begun:
            return []
        self._track_progress(allowed_Y)
        if complete and (ends := [token for token in stop if token < len(allowed_Y) and allowed_Y[token]]):
            return ends
        return self._choose_mark(allowed_Y)

    def _track_progress(self, allowed_Y: NDArray[np.bool_]) -> None:
        state = hash(np.packbits(allowed_Y).tobytes())
        if state not in self._states:
            self._states.add(state)
            self._last_progress = len(self._tokens)

    def _choose_mark(self, allowed_Y: NDArray[np.bool_]) -> list[int]:
        if self._queue and allowed_Y[self._queue[0]]:
            return self._write(self._queue)
        text = bool(self._letters) and bool(allowed_Y[self._letters].all())
        if not (text and self._mark_failed):
            for tokens in self._marks[: self._text_marks] if text else self._marks:
                if allowed_Y[tokens[0]]:
                    self._mark_failed = text
                    return self._write(tokens)
        self._queue, self._mark_failed = [], False
        return self._choose_filler(allowed_Y)

    def _choose_filler(self, allowed_Y: NDArray[np.bool_]) -> list[int]:
        """Each in its turn, so that none is written for ever."""
        if self._free_tokens > 0:
            self._free_tokens -= 1
            return []
        for tokens in (*self._fillers[self._next :], *self._fillers[: self._next]):
            if allowed_Y[tokens[0]]:
                self._next = (self._fillers.index(tokens) + 1) % len(self._fillers)
                return self._write(tokens)
        return []

    def _write(self, tokens: list[int]) -> list[int]:
        self._queue = tokens[1:]
        return tokens[:1]

    def _is_looping(self) -> bool:
        if len(self._tokens) < LOOP_LENGTH + MAX_PERIOD or len(self._tokens) % CHECK_INTERVAL:
            return False
        tail = np.array(self._tokens[-LOOP_LENGTH - MAX_PERIOD :])
        return any(np.array_equal(tail[-LOOP_LENGTH:], tail[-LOOP_LENGTH - period : -period]) for period in range(1, MAX_PERIOD + 1))
