"""Pictures by what they show: ranked by their own vectors, and scored so that they stand in one list with passages.

Products of vectors of CLIP are no cosines of meanings: what fits a picture may have 0.3, what does not 0.2, and a picture of anything at
all as much. So a picture counts as far as it fits the question better than the store's pictures fit texts that fit any picture, by the
scale that the model has learned; that is the `meaning` of the fusion (fuse.py), whose other half are the words beside the picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.api import PictureModel, Search, Vector
from retrieval.records import ScoredChunk
from retrieval.search.fuse import EQUAL_WEIGHTS
from retrieval.store.api import Store

FLUENT = 2.5  # letters per token, from which on the model is taken to know a question's words; where it spells, it sees noise
LEXICAL_CANDIDATES = 1000  # so that most pictures have a word score too


@dataclass(frozen=True)
class Asked:
    """`questions`: vectors by query. `anything`: that of texts that fit any picture."""

    questions: Mapping[str, Vector]
    anything: Vector


@dataclass(frozen=True)
class PictureSearch:
    store: Store
    model: PictureModel

    async def ask(self, search: Search) -> Asked | None:
        """None: the search is one for words. Raises EngineError."""
        if search.mode == "lexical" or (search.weights is not None and not search.weights.embedding):
            return None
        queries = list(dict.fromkeys(search.queries))
        rows = await self.model.ask(queries)
        return Asked(dict(zip(queries, rows, strict=True)), await self.model.anything())

    def rank(self, search: Search, store_id: str, query: str, asked: Asked, depth: int) -> list[ScoredChunk]:
        """Scores 0..1. Raises NotFound, WrongModel."""
        self.store.expect_pictures(store_id, self.model.identity)
        found = self.store.pictures(store_id, asked.questions[query], depth, search.filter)
        if not found:
            return []
        products = np.array([one.score for one in found])
        known = min(1.0, self.model.fluency(query) / FLUENT)
        meaning = known * self.model.fits(products - self._usual(search, store_id, asked.anything, depth))
        if search.mode == "fused":
            weights = EQUAL_WEIGHTS if search.weights is None else search.weights
            text = self._by_words(search, store_id, query, [one.chunk_id for one in found])
            meaning = (weights.embedding * meaning + weights.text * text) / (weights.embedding + weights.text)
        return [ScoredChunk(chunk_id=one.chunk_id, score=float(score)) for one, score in zip(found, meaning, strict=True)]

    def _usual(self, search: Search, store_id: str, anything: Vector, depth: int) -> float:
        """The product of `anything` and the pictures that fit it best."""
        found = self.store.pictures(store_id, anything, depth, search.filter)
        return float(np.mean([one.score for one in found])) * float(np.linalg.norm(anything))

    def _by_words(self, search: Search, store_id: str, query: str, chunk_ids: Sequence[int]) -> NDArray[np.float64]:
        known = {one.chunk_id: one.score for one in self.store.lexical(store_id, query, LEXICAL_CANDIDATES, search.filter)}
        return np.array([known.get(chunk_id, 0.0) for chunk_id in chunk_ids])
