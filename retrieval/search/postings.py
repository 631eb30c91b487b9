"""BM25 over posting lists that are loaded when first needed and cached. Chunks are identified by slot, as in dense.py."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from retrieval.search.arrays import GrowableArray, Mask, Slots
from retrieval.search.lexical import QueryTerm, idf, saturation

MAX_POSTINGS = 8_000_000  # cached per store; 12 bytes each


@dataclass(frozen=True, slots=True)
class PostingList:
    """The chunks that hold a term, and how often."""

    slots: GrowableArray[np.int64]
    counts: GrowableArray[np.float32]

    @staticmethod
    def of(slots: NDArray[np.int64]) -> "PostingList":
        """`slots`: one entry per occurrence."""
        chunks, counts = np.unique(slots, return_counts=True)
        return PostingList(GrowableArray(np.int64, chunks), GrowableArray(np.float32, counts))

    def __len__(self) -> int:
        return len(self.slots.values)


class WordIndex:
    """Searches may run concurrently, `add` needs exclusive access. `fetch` returns the slot of each occurrence of a term."""

    def __init__(self) -> None:
        self.lengths = GrowableArray(np.float32)
        self._postings: OrderedDict[str, PostingList] = OrderedDict()  # least recently used first
        self._size, self._lock = 0, Lock()

    @property
    def has_postings(self) -> bool:
        """Whether posting lists are cached, which `add` must extend."""
        return bool(self._postings)

    def add(self, lengths: NDArray[np.float32], words: Sequence[Sequence[str]]) -> None:
        """Appends chunks. `words` may be empty without `has_postings`."""
        first = len(self.lengths.values)
        self.lengths.extend(lengths)
        for slot, terms in enumerate(words, first):
            for term, count in Counter(terms).items():
                if (posting := self._postings.get(term)) is not None:
                    posting.slots.extend(np.array([slot]))
                    posting.counts.extend(np.array([count]))
                    self._size += 1

    def search(
        self,
        query: Sequence[QueryTerm],
        limit: int,
        fetch: Callable[[str], NDArray[np.int64]],
        alive: Mask,
        allowed: Mask | None = None,
    ) -> tuple[Slots, NDArray[np.float32]]:
        """Best first: slots, and BM25 as a share of a perfect match's score. `alive` [slots]: chunks that exist; `allowed` [slots]: those
        of them that pass the filter."""
        lengths = self.lengths.values
        count = int(np.count_nonzero(alive))
        if not count or not query:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        average = max(float(lengths.sum(where=alive)) / count, 1.0)
        found = [self._holding(term, fetch, alive, count) for term in query]
        df = np.array([len(slots) + term.skipped for (slots, _), term in zip(found, query, strict=True)], np.float64)
        weights = np.array([term.count for term in query]) * idf(count, df)
        scores = np.zeros(len(lengths), np.float32)
        for (slots, counts), weight in zip(found, weights / weights.sum(), strict=True):
            np.add.at(scores, slots, np.float32(weight) * saturation(counts, lengths.take(slots), average))
        return _best(scores if allowed is None else scores * allowed, limit)

    def _holding(
        self, term: QueryTerm, fetch: Callable[[str], NDArray[np.int64]], alive: Mask, count: int
    ) -> tuple[Slots, NDArray[np.float32]]:
        """The chunks with any spelling of the term, and how often they hold their most frequent one."""
        each = [self._without_deleted(self._posting(spelling, fetch), alive, count) for spelling in term.spellings]
        each = [found for found in each if len(found[0])]
        if len(each) < 2:
            return each[0] if each else (np.empty(0, np.int64), np.empty(0, np.float32))
        slots, places = np.unique(np.concatenate([slots for slots, _ in each]), return_inverse=True)
        counts = np.zeros(len(slots), np.float32)
        np.maximum.at(counts, places, np.concatenate([counts for _, counts in each]))
        return slots, counts

    def _without_deleted(self, posting: PostingList, alive: Mask, count: int) -> tuple[Slots, NDArray[np.float32]]:
        slots, counts = posting.slots.values, posting.counts.values
        if count == len(alive):
            return slots, counts
        present = alive[slots]
        return slots[present], counts[present]

    def _posting(self, term: str, fetch: Callable[[str], NDArray[np.int64]]) -> PostingList:
        with self._lock:
            if (posting := self._postings.get(term)) is not None:
                self._postings.move_to_end(term)
                return posting
        posting = PostingList.of(fetch(term))
        with self._lock:
            if term not in self._postings:
                self._postings[term] = posting
                self._size += len(posting)
            while self._size > MAX_POSTINGS and len(self._postings) > 1:
                self._size -= len(self._postings.popitem(last=False)[1])
        return posting


def _best(scores: NDArray[np.float32], limit: int) -> tuple[Slots, NDArray[np.float32]]:
    slots = np.flatnonzero(scores)
    if len(slots) > limit:
        found = scores[slots]
        slots = slots[found >= np.partition(found, -limit)[-limit]]
    slots = slots[np.lexsort((slots, -scores[slots]))][:limit]
    return slots, scores[slots]
