"""Growable arrays with amortized appends, and a readers-writer lock."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Condition
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

S = TypeVar("S", bound=np.generic)
Slots = NDArray[np.int64]  # positions in which vectors and words were added
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]  # of all slots


class GrowableArray(Generic[S]):
    def __init__(self, dtype: type[S], values: ArrayLike = ()) -> None:
        self._data: NDArray[S] = np.array(values, dtype)
        self._count = len(self._data)

    @property
    def values(self) -> NDArray[S]:
        """Valid until the next `extend`."""
        return self._data[: self._count]

    def extend(self, values: NDArray[Any]) -> None:
        count = self._count + len(values)
        if count > len(self._data):
            data = np.empty(max(count, len(self._data) * 3 // 2, 16), self._data.dtype)
            data[: self._count] = self.values
            self._data = data
        self._data[self._count : count] = values
        self._count = count


class ReadWriteLock:
    """Many readers or one writer; a waiting writer blocks new readers. Not reentrant."""

    def __init__(self) -> None:
        self._changed, self._readers, self._writing, self._waiting = Condition(), 0, False, 0

    @contextmanager
    def read(self) -> Generator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def write(self) -> Generator[None]:
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
