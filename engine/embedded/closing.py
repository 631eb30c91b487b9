"""Brings an answer in a grammar to its end before its tokens run out, or when it goes in circles. Small models need that: within
a string of JSON nothing but a quotation mark ends them.

Some ends cannot be found that way (a pattern that wants certain letters). Whether the answer gets any further shows in what the
grammar allows: at a place where it has not been, it allows something else. In a string it is always at the same few places, and only
one that must be long comes to an end there all the same, so that it takes many tokens without a new place to give up."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api import Closing

CIRCLE, PERIOD = 128, 32  # tokens: a tail this long in which every token is the one at most that far before it
LOOK = 8  # tokens between two looks for circles
IN_VAIN = 1024  # tokens towards the end, without a place where the answer has not been since it begins
QUOTE = '"'
LETTERS = ("k", "q", "z")  # they begin no word of JSON: where all of them may come, whatever is written is text


def closer(closing: Closing, most: int, spell: Callable[[str], list[int]]) -> "Closer":
    """`most`: tokens of the whole answer."""
    marks = closing.marks
    return Closer(
        [spell(mark) for mark in marks],
        most - closing.tokens,
        within=marks.index(QUOTE) + 1 if QUOTE in marks else len(marks),
        letters=[token for letter in LETTERS for token in spell(letter)],
        fillers=[spell(filler) for filler in closing.fillers],
        patience=closing.tokens // 4,
    )


class Closer:
    """For one answer."""

    def __init__(
        self,
        marks: Sequence[Sequence[int]],
        start: int,
        *,
        within: int | None = None,
        letters: Sequence[int] = (),
        fillers: Sequence[Sequence[int]] = (),
        patience: int = 0,
    ) -> None:
        """`marks`: tokens of each, the best first. `start`: tokens after which the end begins. `within`: how many of the marks
        end a text, in which all `letters` may come. `patience`: tokens that the model may choose where no mark fits."""
        self._marks, self._start, self._within = [list(mark) for mark in marks if mark], start, within
        self._letters, self._fillers, self._patience = list(letters), [list(one) for one in fillers if one], patience
        self._next = 0  # filler to try first
        self._in_vain = False  # the last mark was written in a text, and did not end it
        self._said: list[int] = []
        self._queue: list[int] = []  # the rest of the mark that is being written
        self._places = set[int]()  # where the answer has been since then
        self._arrived = 0  # tokens before the last new one
        self.begun = False  # from now on the end is near

    @property
    def lost(self) -> bool:
        """The end is not found."""
        return self.begun and len(self._said) - self._arrived >= IN_VAIN

    def took(self, token: int) -> None:
        self._said.append(token)

    def choose(self, allowed_Y: NDArray[np.bool_], stop: frozenset[int], complete: bool) -> list[int]:
        """Of which tokens one must come next; []: the model is free."""
        if not self.begun:
            self.begun = not complete and (len(self._said) >= self._start or self._circling())
        if not self.begun:
            return []
        self._look(allowed_Y)
        if complete and (ends := [token for token in stop if token < len(allowed_Y) and allowed_Y[token]]):
            return ends
        return self._mark(allowed_Y)

    def _look(self, allowed_Y: NDArray[np.bool_]) -> None:
        place = hash(np.packbits(allowed_Y).tobytes())
        if place not in self._places:
            self._places.add(place)
            self._arrived = len(self._said)

    def _mark(self, allowed_Y: NDArray[np.bool_]) -> list[int]:
        if self._queue and allowed_Y[self._queue[0]]:
            return self._write(self._queue)
        text = bool(self._letters) and bool(allowed_Y[self._letters].all())
        if not (text and self._in_vain):
            for tokens in self._marks[: self._within] if text else self._marks:
                if allowed_Y[tokens[0]]:
                    self._in_vain = text
                    return self._write(tokens)
        self._queue, self._in_vain = [], False
        return self._filler(allowed_Y)

    def _filler(self, allowed_Y: NDArray[np.bool_]) -> list[int]:
        """Each in its turn, so that none is written for ever."""
        if self._patience > 0:
            self._patience -= 1
            return []
        for tokens in (*self._fillers[self._next :], *self._fillers[: self._next]):
            if allowed_Y[tokens[0]]:
                self._next = (self._fillers.index(tokens) + 1) % len(self._fillers)
                return self._write(tokens)
        return []

    def _write(self, tokens: list[int]) -> list[int]:
        self._queue = tokens[1:]
        return tokens[:1]

    def _circling(self) -> bool:
        if len(self._said) < CIRCLE + PERIOD or len(self._said) % LOOK:
            return False
        tail = np.array(self._said[-CIRCLE - PERIOD :])
        return any(np.array_equal(tail[-CIRCLE:], tail[-CIRCLE - period : -period]) for period in range(1, PERIOD + 1))
