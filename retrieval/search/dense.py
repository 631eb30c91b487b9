"""Nearest vectors, by FAISS. An index knows its vectors by slot: the position in which they were added, from 0.

Vectors lie in flat segments, which are exact. Over many of them a graph (HNSW) may be built on the side and take the place of
the segments that it covers. What is deleted keeps its slot and is masked out.
"""

from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retrieval.api import Vectors

SEGMENT = 16_384  # vectors; a segment that grows is copied now and then, so none grows large
LINKS, BUILD, VISIT = 32, 80, 128  # HNSW: edges of a vector; candidates while building; candidates while searching, at least
FEW = 20  # one allowed vector in so many, or fewer: to look at just those is faster than the graph, and exact
Slots = NDArray[np.int64]
Scores = NDArray[np.float32]
Mask = NDArray[np.bool_]
Part = Any  # a FAISS index; its type hints leave out half of what it can do


class DenseIndex:
    """Vectors of length 1, compared by inner product. Searches may run at the same time; changes need to be alone."""

    def __init__(self, dimensions: int, segment: int = SEGMENT) -> None:
        self._dimensions, self._segment = dimensions, segment
        self._graph: Part | None = None
        self._flats: list[Part] = []  # behind the graph; all but the last are full

    @property
    def covered(self) -> int:
        """Slots that are found by the graph."""
        return 0 if self._graph is None else self._graph.ntotal

    @property
    def waiting(self) -> int:
        """Slots that a new graph would find, too."""
        return sum(flat.ntotal for flat in self._flats if flat.ntotal == self._segment)

    def add(self, vectors: Vectors) -> None:
        while len(vectors):
            if not self._flats or self._flats[-1].ntotal == self._segment:
                self._flats.append(faiss.IndexFlatIP(self._dimensions))
            room = self._segment - self._flats[-1].ntotal
            self._flats[-1].add(np.ascontiguousarray(vectors[:room], np.float32))
            vectors = vectors[room:]

    def search(self, vector: NDArray[np.float32], limit: int, allowed: Mask | None = None) -> tuple[Slots, Scores]:
        """Best first: slots and inner products. `allowed` [slots] leaves the others out."""
        faiss.omp_set_num_threads(1)  # in this thread; for one vector more only get into each other's way
        found = [_search(part, start, vector[None], limit, allowed) for start, part in self._parts()]
        slots = np.concatenate([slots for slots, _ in found]) if found else np.empty(0, np.int64)
        scores = np.concatenate([scores for _, scores in found]) if found else np.empty(0, np.float32)
        order = np.lexsort((slots, -scores))[:limit]
        return slots[order], scores[order]

    def graph(self, go_on: Callable[[], bool]) -> Part | None:
        """Over all that is full, for `adopt`; None when `go_on`, asked between segments, says no. Takes long, but searches and
        `add` need not wait for it."""
        faiss.omp_set_num_threads(1)
        graph = faiss.IndexHNSWFlat(self._dimensions, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = BUILD
        for _, part in list(self._parts()):
            stored = _stored(part)
            for start in range(0, len(stored) // self._segment * self._segment, self._segment):
                if not go_on():
                    return None
                graph.add(stored[start : start + self._segment])
        return graph

    def adopt(self, graph: Part) -> None:
        self._flats = self._flats[(graph.ntotal - self.covered) // self._segment :]
        self._graph = graph

    def _parts(self) -> Iterator[tuple[int, Part]]:
        if self._graph is not None:
            yield 0, self._graph
        for number, flat in enumerate(self._flats):
            yield self.covered + number * self._segment, flat


def _search(part: Part, start: int, query: Vectors, limit: int, allowed: Mask | None) -> tuple[Slots, Scores]:
    mask = None if allowed is None else allowed[start : start + part.ntotal]
    if isinstance(part, faiss.IndexHNSW):
        part, params = _way(part, limit, mask)
    else:
        params = _only(mask)
    scores, slots = part.search(query, min(limit, part.ntotal), params=params)
    real = slots[0] >= 0
    return slots[0][real] + start, scores[0][real]


def _way(graph: Part, limit: int, mask: Mask | None) -> tuple[Part, Any]:
    if mask is not None and np.count_nonzero(mask) * FEW <= len(mask):
        return _flat(graph), _only(mask)
    params: Any = faiss.SearchParametersHNSW  # type: ignore[attr-defined]
    selector = {} if mask is None else {"sel": _selector(mask)}
    return graph, params(efSearch=max(VISIT, 2 * limit), **selector)


def _only(mask: Mask | None) -> Any:
    params: Any = faiss.SearchParameters
    return None if mask is None else params(sel=_selector(mask))


def _selector(mask: Mask) -> Any:
    selector: Any = faiss.IDSelectorBitmap
    return selector(np.packbits(mask, bitorder="little"))


def _flat(part: Part) -> Part:
    return faiss.downcast_index(part.storage) if isinstance(part, faiss.IndexHNSW) else part


def _stored(part: Part) -> Vectors:
    """A view, not a copy."""
    flat = _flat(part)
    return faiss.rev_swig_ptr(flat.get_xb(), flat.ntotal * flat.d).reshape(flat.ntotal, flat.d)
