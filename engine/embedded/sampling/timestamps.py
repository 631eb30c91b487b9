"""Tokens that are times, in the order in which they may come (engine.api.Timestamps)."""

import numpy as np
from numpy.typing import NDArray

from engine.api import Timestamps

Row = NDArray[np.float32]


class TimestampOrder:
    """Follows one answer, and takes from a row of logits what may not come next."""

    def __init__(self, spec: Timestamps) -> None:
        self._spec = spec
        self._count = 0  # tokens of the answer
        self._last: int | None = None  # the last time
        self._ends = (True, False)  # whether the last token but one, and the last one, are times

    def accept(self, token: int) -> None:
        is_time = token >= self._spec.first
        self._count += 1
        self._ends = (self._count == 1 or self._ends[1], is_time)
        if is_time:
            self._last = token

    def restrict(self, row_Y: Row) -> None:
        """Changes the row in place."""
        first = self._spec.first
        if self._spec.never is not None:
            row_Y[self._spec.never] = -np.inf
        self._pair(row_Y)
        if self._last is not None:
            closing = self._ends == (False, True)  # the same time may begin the next pair
            row_Y[first : self._last + (0 if closing else 1)] = -np.inf
        if self._count == 0:
            row_Y[:first] = -np.inf
            row_Y[len(row_Y) if self._spec.latest_start is None else first + self._spec.latest_start + 1 :] = -np.inf
        if _log_sum(row_Y[first:]) > row_Y[:first].max():
            row_Y[:first] = -np.inf

    def _pair(self, row_Y: Row) -> None:
        """Behind a time: text, if it is the second of a pair, otherwise its second or the end."""
        match self._ends:
            case (True, True):
                row_Y[self._spec.first :] = -np.inf
            case (False, True):
                row_Y[: self._spec.end] = -np.inf
            case _:
                pass


def _log_sum(row: Row) -> float:
    """The logarithm of the sum of all exp."""
    highest = row.max(initial=-np.inf)
    return -np.inf if highest == -np.inf else float(highest + np.log(np.exp(row - highest).sum()))
