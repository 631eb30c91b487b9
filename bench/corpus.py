"""Made-up documents whose words are distributed as in real text (Zipf), with vectors that point anywhere."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from retrieval.api import Block, Document, ModelIdentity, NewChunk
from retrieval.records import IngestedFile

SYLLABLES = [a + b for a, b in product("bdfghklmnprstvz", "aeiou")]
VOCABULARY = 30_000
COMMON = 30  # so many of a language's most frequent words are stop words, which no index holds
WORDS = 120  # of one chunk


class Corpus:
    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._words = np.array(["".join(word) for word, _ in zip(product(SYLLABLES, repeat=3), range(VOCABULARY), strict=False)])
        frequency = 1 / (np.arange(VOCABULARY) + COMMON)
        self._cumulated = np.cumsum(frequency / frequency.sum())

    def texts(self, count: int, words: int = WORDS) -> list[str]:
        picked = np.searchsorted(self._cumulated, self._random.random((count, words)))
        return [" ".join(row) for row in self._words[np.minimum(picked, VOCABULARY - 1)]]

    def question(self) -> str:
        return self.texts(1, words=8)[0]

    def outcome(self, chunks: int, identity: ModelIdentity) -> IngestedFile:
        """A document of `chunks` pieces, ready to be stored."""
        texts = self.texts(chunks)
        vectors = self._random.standard_normal((chunks, identity.dimensions), dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        text = "\n".join(texts)
        pieces = _pieces(texts)
        blocks = tuple(Block(kind="paragraph", start=piece.start, end=piece.end) for piece in pieces)
        return IngestedFile(
            document=Document(text=text, blocks=blocks, media_type="text/plain"), chunks=pieces, vectors=vectors, identity=identity
        )


def _pieces(texts: Sequence[str]) -> tuple[NewChunk, ...]:
    starts = np.cumsum([0, *(len(text) + 1 for text in texts)])
    return tuple(NewChunk(text=text, start=int(start), end=int(start) + len(text)) for text, start in zip(texts, starts, strict=False))
