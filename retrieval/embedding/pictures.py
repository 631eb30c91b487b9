"""Pictures of documents, and questions about them, in the space of a model that reads both (CLIP, SigLIP)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.api import Judge
from retrieval.api import Embedder, ImageEmbedder, Judged, ModelIdentity, Vector, Vectors
from retrieval.embedding.probabilities import sigmoid, softmax

# texts that fit any picture: how a picture is told that fits a question better than nothing in particular
ANYTHING = ("a photo of a thing", "a picture of something", "an image", "a page of text", "a drawing", "a landscape", "people", "an object")


class PairPictures:
    """Implements retrieval.api.PictureModel."""

    def __init__(self, texts: Embedder, images: ImageEmbedder, judge: Judge) -> None:
        """Of one model. Whoever opened it closes it."""
        self._texts, self._images, self._judge = texts, images, judge
        self._anything: Vector | None = None

    @property
    def identity(self) -> ModelIdentity:
        return self._texts.identity

    async def see(self, picture: bytes) -> Vector:
        return (await self._images.embed([picture])).vectors[0]

    async def ask(self, questions: Sequence[str]) -> Vectors:
        return await self._texts.embed(questions, "query")

    def fluency(self, text: str) -> float:
        return self._texts.fluency(text)

    async def anything(self) -> Vector:
        known = self._anything
        if known is None:
            known = self._anything = np.mean(await self._texts.embed(ANYTHING, "query"), axis=0)
        return known

    def fits(self, products: NDArray[np.float64]) -> NDArray[np.float64]:
        return sigmoid(self._judge.scale * products)

    async def judged(self, images: Sequence[bytes], labels: Sequence[str]) -> Judged:
        seen, described = await self._images.embed(images), await self._texts.embed(labels, "query")
        logits = seen.vectors.astype(np.float64) @ described.T.astype(np.float64) * self._judge.scale + self._judge.offset
        return Judged(softmax(logits) if self._judge.kind == "softmax" else sigmoid(logits), seen.rows)
