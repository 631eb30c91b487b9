"""Vector search with FAISS. A vector's slot is the position in which it was added, from 0.

Vectors are in flat segments, which are searched exactly. An HNSW graph may be built in the background and then replaces the segments
that it covers. Deleted vectors keep their slot and are masked out.
"""

from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.api import Vectors
from retrieval.search.arrays import Mask, Scores, Slots

SEGMENT_SIZE = 16_384  # vectors; a growing segment is copied now and then, so it stays small
HNSW_M, HNSW_EF_CONSTRUCTION, HNSW_EF_SEARCH = (
    32,
    80,
    128,
)  # HNSW: edges of a vector; candidates while building; candidates while searching, at least
EXACT_DIVISOR = 20  # with at most 1 of so many vectors allowed, exact search is faster than the graph
FaissIndex = Any  # a FAISS index; its type hints leave out half of what it can do


class DenseIndex:
    """Vectors of length 1, compared by inner product. Searches may run concurrently; changes need exclusive access."""

    def __init__(self, dimensions: int, segment: int = SEGMENT_SIZE) -> None:
        self._dimensions, self._segment = dimensions, segment
        self._graph: FaissIndex | None = None
        self._segments: list[FaissIndex] = []  # after the graph's slots; all but the last are full

    @property
    def graph_size(self) -> int:
        """Number of slots in the graph."""
        return 0 if self._graph is None else self._graph.ntotal

    @property
    def indexable(self) -> int:
        """Number of slots that a new graph would add: those of full segments."""
        return sum(flat.ntotal for flat in self._segments if flat.ntotal == self._segment)

    def add(self, vectors: Vectors) -> None:
        while len(vectors):
            if not self._segments or self._segments[-1].ntotal == self._segment:
                self._segments.append(faiss.IndexFlatIP(self._dimensions))
            room = self._segment - self._segments[-1].ntotal
            self._segments[-1].add(np.ascontiguousarray(vectors[:room], np.float32))
            vectors = vectors[room:]

    def search(self, vector: NDArray[np.float32], limit: int, allowed: Mask | None = None) -> tuple[Slots, Scores]:
        """Best first: slots and inner products. `allowed` [slots] leaves the others out."""
        faiss.omp_set_num_threads(1)  # for this thread; more do not help for one vector
        found = [_search(part, start, vector[None], limit, allowed) for start, part in self._parts()]
        slots = np.concatenate([slots for slots, _ in found]) if found else np.empty(0, np.int64)
        scores = np.concatenate([scores for _, scores in found]) if found else np.empty(0, np.float32)
        order = np.lexsort((slots, -scores))[:limit]
        return slots[order], scores[order]

    def graph(self, should_continue: Callable[[], bool]) -> FaissIndex | None:
        """An HNSW graph over all full segments, for `adopt_graph`; None if `should_continue`, asked between segments, says no. Takes long,
        but searches and `add` need not wait for it."""
        faiss.omp_set_num_threads(1)
        graph = faiss.IndexHNSWFlat(self._dimensions, HNSW_M, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = HNSW_EF_CONSTRUCTION
        for _, part in list(self._parts()):
            stored = _vectors_in(part)
            for start in range(0, len(stored) // self._segment * self._segment, self._segment):
                if not should_continue():
                    return None
                graph.add(stored[start : start + self._segment])
        return graph

    def adopt_graph(self, graph: FaissIndex) -> None:
        self._segments = self._segments[(graph.ntotal - self.graph_size) // self._segment :]
        self._graph = graph

    def _parts(self) -> Iterator[tuple[int, FaissIndex]]:
        if self._graph is not None:
            yield 0, self._graph
        for number, flat in enumerate(self._segments):
            yield self.graph_size + number * self._segment, flat


def _search(part: FaissIndex, start: int, query: Vectors, limit: int, allowed: Mask | None) -> tuple[Slots, Scores]:
    mask = None if allowed is None else allowed[start : start + part.ntotal]
    if isinstance(part, faiss.IndexHNSW):
        part, params = _search_params(part, limit, mask)
    else:
        params = _params(mask)
    scores, slots = part.search(query, min(limit, part.ntotal), params=params)
    real = slots[0] >= 0
    return slots[0][real] + start, scores[0][real]


def _search_params(graph: FaissIndex, limit: int, mask: Mask | None) -> tuple[FaissIndex, Any]:
    if mask is not None and np.count_nonzero(mask) * EXACT_DIVISOR <= len(mask):
        return _flat(graph), _params(mask)
    params: Any = faiss.SearchParametersHNSW  # type: ignore[attr-defined]
    selector = {} if mask is None else {"sel": _selector(mask)}
    return graph, params(efSearch=max(HNSW_EF_SEARCH, 2 * limit), **selector)


def _params(mask: Mask | None) -> Any:
    params: Any = faiss.SearchParameters
    return None if mask is None else params(sel=_selector(mask))


def _selector(mask: Mask) -> Any:
    selector: Any = faiss.IDSelectorBitmap
    return selector(np.packbits(mask, bitorder="little"))


def _flat(part: FaissIndex) -> FaissIndex:
    return faiss.downcast_index(part.storage) if isinstance(part, faiss.IndexHNSW) else part


def _vectors_in(part: FaissIndex) -> Vectors:
    """A view, not a copy."""
    flat = _flat(part)
    return faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
