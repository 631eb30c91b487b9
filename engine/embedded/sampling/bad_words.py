"""Sequences of tokens that must not be generated."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class BadWords:
    """Sequences of tokens that must not be generated: the last token of one is forbidden after the others."""

    def __init__(self, words: Sequence[tuple[int, ...]]) -> None:
        """`words`: none of them empty."""
        self._single = sorted({word[0] for word in words if len(word) == 1})
        self._after: dict[int, list[tuple[int, ...]]] = {}  # last but one token -> words
        for word in words:
            if len(word) > 1:
                self._after.setdefault(word[-2], []).append(word)
        self._longest = max(map(len, words))
        self._tail: list[int] = []  # the last tokens generated

    def accept(self, token: int) -> None:
        self._tail = [*self._tail, token][-self._longest :]

    def forbidden(self) -> NDArray[np.int64]:
        """The tokens that must not come next."""
        words = self._after.get(self._tail[-1], ()) if self._tail else ()
        ends = [word[-1] for word in words if tuple(self._tail[1 - len(word) :]) == word[:-1]]
        return np.array(self._single + ends, np.int64)
