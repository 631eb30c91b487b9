"""How well the embedding model knows the language of a query and of the chunks that it is compared with."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from statistics import fmean

from retrieval.api import Embedder
from retrieval.store.api import Store

SAMPLE_CHARACTERS = 300  # of each chunk
REMEMBERED = 10_000  # chunks: the best of a query are often those of others


class ChunkFluency:
    """Remembers what it was told of chunks, whose text never changes. May be used by several threads."""

    def __init__(self) -> None:
        self._known = OrderedDict[int, float]()
        self._lock = threading.Lock()

    def mean(self, store: Store, embedder: Embedder, query: str, chunks: Sequence[int]) -> float:
        """Of the query, and of some chunks by their ids: a query may be short and full of names."""
        of_query, of_chunks = embedder.fluency(query), self._of_chunks(store, embedder, chunks)
        return (of_query + fmean(of_chunks)) / 2 if of_chunks else of_query

    def _of_chunks(self, store: Store, embedder: Embedder, chunks: Sequence[int]) -> list[float]:
        with self._lock:
            found = {chunk: self._known[chunk] for chunk in chunks if chunk in self._known}
        if missing := [chunk for chunk in chunks if chunk not in found]:
            read = store.hits(missing)
            found |= {number: embedder.fluency(chunk.text[:SAMPLE_CHARACTERS]) for number, (chunk, _) in read.items()}
        self._remember(found)
        return list(found.values())

    def _remember(self, found: dict[int, float]) -> None:
        with self._lock:
            self._known.update(found)
            for chunk in found:
                self._known.move_to_end(chunk)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
