"""In-memory copy of a vector store in SQLite, brought up to the store's generation before each search. May be discarded at any
time."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from retrieval.api import Vectors
from retrieval.records import ScoredChunk
from retrieval.search.arrays import GrowableArray, Mask, ReadWriteLock, Slots
from retrieval.search.lexical import query_terms
from retrieval.search.postings import WordIndex

if TYPE_CHECKING:
    from retrieval.search.dense import DenseIndex

MIN_REMOVED = 1000  # rebuild once more chunks than this, and more than a quarter of all, are removed ones
Ids = NDArray[np.int64]


@dataclass(frozen=True)
class StoreChanges:
    """Changes of a store since a generation. Row i of each array belongs to the same new chunk; ids ascend."""

    generation: int
    ids: Ids
    members: Ids
    lengths: NDArray[np.float32]
    vectors: Vectors
    words: Sequence[Sequence[str]]  # () if not requested
    languages: Sequence[str]
    left: Ids | None  # ids of all existing chunks, if any were removed


class StoreCache:
    """Search only inside a block of `at`."""

    def __init__(self) -> None:
        self.generation = 0
        self._lock = ReadWriteLock()
        self._clear()

    @contextmanager
    def at(self, generation: int, changes: Callable[[int, bool], StoreChanges]) -> Generator[None]:
        """Holds the cache at `generation` or later for the block. Arguments of `changes`: since which generation, with words."""
        if self.generation < generation:
            with self._lock.write():
                if self.generation < generation:
                    self._catch_up(changes)
        with self._lock.read():
            yield

    @property
    def bytes(self) -> int:
        return self._bytes

    @property
    def needs_rebuild(self) -> bool:
        """Too large a part of it belongs to removed chunks."""
        count = len(self._alive.values)
        return count - int(np.count_nonzero(self._alive.values)) > max(MIN_REMOVED, count // 4)

    def nearest(self, vector: NDArray[np.float32], limit: int, members: Ids | None) -> list[ScoredChunk]:
        if self._dense is None:
            return []
        alive = self._alive.values
        allowed = None if members is None and alive.all() else alive & self._belongs_to(members)
        return self._scored(*self._dense.search(vector, limit, allowed))

    def best(self, query: str, limit: int, fetch: Callable[[str], Ids], members: Ids | None) -> list[ScoredChunk]:
        """`fetch`: returns the chunk id of each occurrence of a term."""
        alive = self._alive.values
        allowed = None if members is None else alive & self._belongs_to(members)
        terms = query_terms(query, self._language_counts)
        return self._scored(*self._words.search(terms, limit, lambda term: self._slots(fetch(term)), alive, allowed))

    def grow(self, above: int, should_continue: Callable[[], bool]) -> None:
        """Builds the HNSW graph if there are more than `above` chunks and too few are in it. Call outside of `at`."""
        dense = self._dense
        if dense is None or not self.needs_graph(above):
            return
        if (graph := dense.graph(should_continue)) is not None:
            with self._lock.write():
                dense.adopt_graph(graph)

    def needs_graph(self, above: int) -> bool:
        dense = self._dense
        return dense is not None and len(self._alive.values) > above and dense.indexable > dense.graph_size // 4

    def _belongs_to(self, members: Ids | None) -> Mask | np.bool_:
        return np.True_ if members is None else np.isin(self._members.values, members)

    def _slots(self, ids: Ids) -> Slots:
        """Positions in the cache's arrays; unknown ids are left out."""
        known = self._ids.values
        slots = np.searchsorted(known, ids)
        slots[slots == len(known)] = 0
        return slots[known[slots] == ids] if len(known) else slots

    def _scored(self, slots: Slots, scores: NDArray[np.float32]) -> list[ScoredChunk]:
        ids = self._ids.values[slots]
        return list(map(ScoredChunk, ids.tolist(), scores.tolist()))

    def _catch_up(self, changes: Callable[[int, bool], StoreChanges]) -> None:
        try:
            self._apply(changes(self.generation, self._words.has_postings))
        except BaseException:  # changes may be half applied: the next call starts from empty
            self._clear()
            self.generation = 0
            raise

    def _apply(self, changes: StoreChanges) -> None:
        if changes.left is not None:
            self._alive.values[:] &= np.isin(self._ids.values, changes.left)
            if not self._alive.values.any():
                self._clear()
        if len(changes.ids):
            self._dense = self._dense or _new_index(changes.vectors.shape[1])
            self._dense.add(changes.vectors)
            self._words.add(changes.lengths, changes.words)
            self._ids.extend(changes.ids)
            self._members.extend(changes.members)
            self._alive.extend(np.ones(len(changes.ids), np.bool_))
            self._languages.extend(np.array([self._number(language) for language in changes.languages], np.int16))
            self._bytes += changes.vectors.nbytes
        numbers = np.bincount(self._languages.values[self._alive.values], minlength=len(self._language_names))
        self._language_counts = {name: int(n) for name, n in zip(self._language_names, numbers, strict=True) if n}
        self.generation = changes.generation

    def _number(self, language: str) -> int:
        if language not in self._language_names:
            self._language_names.append(language)
        return self._language_names.index(language)

    def _clear(self) -> None:
        """Also drops the dense index: later vectors may come from another model, with other dimensions."""
        self._dense: DenseIndex | None = None
        self._words, self._bytes = WordIndex(), 0
        self._ids, self._members, self._alive = GrowableArray(np.int64), GrowableArray(np.int64), GrowableArray(np.bool_)
        self._languages, self._language_names = GrowableArray(np.int16), list[str]()  # of each chunk, an index into the names
        self._language_counts: dict[str, int] = {}


def _new_index(dimensions: int) -> "DenseIndex":
    """FAISS is imported where there are vectors: it takes as long as all the rest of a store."""
    from retrieval.search.dense import DenseIndex

    return DenseIndex(dimensions)
