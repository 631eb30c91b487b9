"""Hybrid search: embeds the queries, searches vectors and words, fuses the scores, optionally reranks."""

import asyncio
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from retrieval.api import Embedder, Hit, Reranker, Search, SearchResult, Vector
from retrieval.records import ScoredChunk
from retrieval.search.fluency import ChunkFluency
from retrieval.search.fuse import EQUAL_WEIGHTS, CandidatePool, candidates, fuse
from retrieval.search.pictures import LEXICAL_CANDIDATES, Asked, PictureSearch
from retrieval.store.api import Store

CANDIDATES = 100  # of vector and of word search, at least
RERANK_LIMIT = 30  # hits that the cross-encoder reads
SAMPLED = 2  # chunks of either side that show how well the model knows the store's language
DUPLICATE_ALLOWANCE = 20  # extra hits, so that dropping duplicates does not shorten the result

StageObserver = Callable[[str, float], None]  # stage (embed, look_up, rerank), seconds


def ignore_stage(stage: str, seconds: float) -> None:
    pass


@dataclass(frozen=True)
class KnowledgeSearch:
    """Implements retrieval.api.Retriever. Does not check whether the client may read the stores."""

    store: Store
    embedder: Embedder
    reranker: Reranker | None = None
    observer: StageObserver = field(default=ignore_stage)
    pictures: PictureSearch | None = None  # None: they are found by their words alone
    _fluency: ChunkFluency = field(default_factory=ChunkFluency)

    async def search(self, search: Search) -> SearchResult:
        with self._timed("embed"):
            vectors = await self._query_vectors(search)
            asked = await self.pictures.ask(search) if self.pictures is not None else None
        with self._timed("look_up"):
            found = await asyncio.to_thread(self._look_up, search, vectors, asked)
        if search.rerank and search.mode == "fused" and self.reranker is not None:
            with self._timed("rerank"):
                found = await self._rerank(self.reranker, search.queries, found)
        return SearchResult(hits=_select_hits(found, search), query_vectors=vectors)

    async def _query_vectors(self, search: Search) -> Mapping[str, Vector]:
        return {} if search.mode == "lexical" else await embed_queries(self.embedder, search.queries, search.known_vectors)

    def _look_up(self, search: Search, vectors: Mapping[str, Vector], asked: Asked | None) -> list[Hit]:
        best: dict[int, float] = {}
        for store_id in search.stores:
            self.store.expect(store_id, self.embedder.identity)
            for query in search.queries:
                for found in (*self._rank(search, store_id, query, vectors.get(query)), *self._shown(search, store_id, query, asked)):
                    best[found.chunk_id] = max(found.score, best.get(found.chunk_id, 0.0))
            self.store.touch(store_id)
        needed = max(search.limit, RERANK_LIMIT if search.rerank and self.reranker is not None else 0) + (
            DUPLICATE_ALLOWANCE if search.distinct else 0
        )
        order = sorted(best, key=lambda chunk_id: (-best[chunk_id], chunk_id))[:needed]
        known = self.store.hits(order)
        return [Hit(chunk=known[i][0], attributes=known[i][1], score=best[i]) for i in order if i in known]

    def _rank(self, search: Search, store_id: str, query: str, vector: Vector | None) -> Sequence[ScoredChunk]:
        if vector is None:
            return self.store.lexical(store_id, query, max(CANDIDATES, search.limit), search.filter)
        depth = max(CANDIDATES, search.limit)
        dense = self.store.dense(store_id, vector, depth, search.filter)
        if search.mode == "dense":
            return [ScoredChunk(chunk_id=found.chunk_id, score=max(found.score, 0.0)) for found in dense]
        lexical = self.store.lexical(store_id, query, LEXICAL_CANDIDATES, search.filter)
        ids, rows = self.store.vectors(candidates(dense, lexical, depth))
        fluency = self._fluency.mean(self.store, self.embedder, query, candidates(dense, lexical, SAMPLED))
        return fuse(vector, CandidatePool.of(ids, rows, lexical), search.weights or EQUAL_WEIGHTS, fluency)

    def _shown(self, search: Search, store_id: str, query: str, asked: Asked | None) -> Sequence[ScoredChunk]:
        if self.pictures is None or asked is None:
            return ()
        return self.pictures.rank(search, store_id, query, asked, max(CANDIDATES, search.limit))

    async def _rerank(self, reranker: Reranker, queries: Sequence[str], hits: list[Hit]) -> list[Hit]:
        """Scores the first RERANK_LIMIT hits with the cross-encoder, by the best query; a picture, of which it reads the words beside it
        alone, keeps a better score. The others follow with their old score, at
        most that of the last reranked hit."""
        read, rest = hits[:RERANK_LIMIT], hits[RERANK_LIMIT:]
        texts = [hit.chunk.text for hit in read]
        scores = np.max([await reranker.score(query, texts) for query in queries], axis=0) if read else []
        rescored = [
            Hit(chunk=hit.chunk, attributes=hit.attributes, score=float(s) if hit.chunk.picture is None else max(float(s), hit.score))
            for hit, s in zip(read, scores, strict=True)
        ]
        rescored.sort(key=lambda hit: -hit.score)
        floor = rescored[-1].score if rescored else 0.0
        return rescored + [Hit(chunk=hit.chunk, attributes=hit.attributes, score=min(hit.score, floor)) for hit in rest]

    @contextmanager
    def _timed(self, stage: str) -> Generator[None]:
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.observer(stage, time.perf_counter() - begun)


async def embed_queries(embedder: Embedder, queries: Sequence[str], known: Mapping[str, Vector]) -> dict[str, Vector]:
    """The vector of each query; those in `known` are not embedded again. Raises EngineError."""
    missing = [query for query in dict.fromkeys(queries) if query not in known]
    rows = await embedder.embed(missing, "query") if missing else ()
    vectors = {**known, **dict(zip(missing, rows, strict=True))}
    return {query: vectors[query] for query in queries}


def _select_hits(hits: Sequence[Hit], search: Search) -> tuple[Hit, ...]:
    good = [hit for hit in hits if hit.score >= search.threshold]
    if search.distinct:
        best: dict[str | int, Hit] = {}
        for hit in good:
            best.setdefault(hit.chunk.text if hit.chunk.picture is None else hit.chunk.id, hit)
        good = list(best.values())
    return tuple(good[: search.limit])
