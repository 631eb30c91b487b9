"""The ingest pipeline of one file: parse, chunk, embed."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePath

import numpy as np

from engine.api import QueueFull
from retrieval.api import Chunking, Document, Embedder, NewChunk, Parser, PictureModel, Unreadable, Vectors
from retrieval.chunking.chunk import chunk
from retrieval.chunking.context import embedding_text
from retrieval.ingest.pictures import look_at, without_names
from retrieval.records import IngestedFile, Job, State
from retrieval.threads import in_thread

EMBED_BATCH = 64  # texts submitted to the encoder at once; small, so that queries do not wait long
RETRY_SECONDS = 0.05  # seconds before retrying when the encoder's queue is full


@dataclass
class JobProgress:
    """Written by the pipeline; read by the worker, which reports it to the store."""

    state: State = "parsing"
    progress: float = 0.0


@dataclass(frozen=True)
class IngestPipeline:
    parser: Parser
    embedder: Embedder
    chunking: Chunking  # default if the job sets none
    pictures: PictureModel | None = None  # None: none are looked at

    async def run(self, job: Job, content: AsyncIterator[bytes], progress: JobProgress) -> IngestedFile:
        """Raises Unreadable, EngineError."""
        document = with_title(await self.parser.parse(content, job.filename), job.filename)
        chunks = await in_thread(self._chunk, document, job.chunking)
        progress.state, progress.progress = "embedding", 0.0
        pictures, seen = await look_at(self.pictures, document) if self.pictures is not None else ((), None)
        chunks = (*without_names(chunks, document), *pictures) if pictures else chunks
        if not chunks:
            raise Unreadable("the file holds no text")
        vectors = await self._embed(document, chunks, progress)
        return IngestedFile(document=document, chunks=chunks, vectors=vectors, identity=self.embedder.identity, seen=seen)

    def _chunk(self, document: Document, requested: Chunking) -> tuple[NewChunk, ...]:
        size = self.chunking.size if requested.size is None else requested.size
        overlap = self.chunking.overlap if requested.overlap is None else requested.overlap
        return chunk(document, self.embedder.offsets, Chunking(size=size, overlap=overlap), self.embedder.max_tokens)

    async def _embed(self, document: Document, chunks: Sequence[NewChunk], progress: JobProgress) -> Vectors:
        """One row per chunk; for a chunk longer than the model's input, the mean over its windows."""
        parts = await in_thread(lambda: [split_windows(embedding_text(document, chunk), self.embedder) for chunk in chunks])
        texts = [text for part in parts for text in part]
        rows: list[Vectors] = []
        for first in range(0, len(texts), EMBED_BATCH):
            rows.append(await self._vectors(texts[first : first + EMBED_BATCH]))
            progress.progress = min(1.0, (first + EMBED_BATCH) / len(texts))
        return pool_windows(np.concatenate(rows), [len(part) for part in parts], unit="normalize" in self.embedder.identity.pooling)

    async def _vectors(self, texts: Sequence[str]) -> Vectors:
        while True:
            try:
                return await self.embedder.embed(texts, "document")
            except QueueFull:
                await asyncio.sleep(RETRY_SECONDS)


def with_title(document: Document, filename: str) -> Document:
    """The document, titled by its file name if it has no title."""
    return document if document.title else replace(document, title=PurePath(filename).stem.replace("_", " "))


def split_windows(text: str, embedder: Embedder) -> tuple[str, ...]:
    """Splits `text` into the fewest windows, of equal token counts, that each fit the model's input."""
    most = embedder.max_tokens
    if len(text) <= most:
        return (text,)  # a token has at least one character
    spans = embedder.offsets(text)
    if len(spans) <= most:
        return (text,)
    cuts = np.linspace(0, len(spans), -(-len(spans) // most) + 1).astype(int)
    return tuple(text[spans[first][0] : spans[last - 1][1]] for first, last in pairwise(cuts))


def pool_windows(rows: Vectors, lengths: Sequence[int], *, unit: bool) -> Vectors:
    """The mean of each run of `lengths` rows, scaled to length 1 if `unit`."""
    if len(rows) == len(lengths):
        return rows
    means = np.add.reduceat(rows, np.cumsum([0, *lengths[:-1]])) / np.asarray(lengths, np.float32)[:, None]
    norms = np.linalg.norm(means, axis=1, keepdims=True) if unit else np.ones(1, np.float32)
    return (means / np.maximum(norms, 1e-12)).astype(np.float32)
