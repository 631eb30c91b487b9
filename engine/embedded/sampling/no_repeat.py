"""Sequences of tokens that come only once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class NoRepeat:
    """Forbids a token that would end a sequence of `size` tokens that was there before."""

    def __init__(self, size: int, prompt: Sequence[int]) -> None:
        """`size`: 1 at least."""
        self._size = size
        self._after: dict[tuple[int, ...], set[int]] = {}  # the first of a sequence's tokens -> those that came behind
        self._tail: tuple[int, ...] = ()
        for token in prompt:
            self.accept(token)

    def accept(self, token: int) -> None:
        if len(self._tail) == self._size - 1:
            self._after.setdefault(self._tail, set()).add(token)
        kept = self._size - 1
        self._tail = (*self._tail, token)[-kept:] if kept else ()

    def forbidden(self) -> NDArray[np.int64]:
        """The tokens that must not come next."""
        return np.array(sorted(self._after.get(self._tail, ())), np.int64)
