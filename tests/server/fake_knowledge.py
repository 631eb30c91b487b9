"""A knowledge base without models: a real store, a real ingestor, and an embedder that knows words by their hash."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, Literal

import numpy as np

from engine.api import PromptTooLong
from retrieval.api import Block, Document, ModelIdentity, Unreadable, Vectors
from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.search.retriever import KnowledgeSearch
from retrieval.store import StoreOptions, open_store
from server.runtime.knowledge_base import KnowledgeBase

WORD = re.compile(r"\w+")
VOCAB, WIDTH, LONGEST = 5000, 64, 40


@dataclass
class WordEmbedder:
    """Every word is a token and a direction; CLS is 1, the prompts of queries and documents are 2 and 3."""

    sight = judge = None

    @property
    def identity(self) -> ModelIdentity:
        return ModelIdentity(model="words", revision="1", dimensions=WIDTH, pooling="mean+normalize", query_prompt="Q", document_prompt="D")

    @property
    def max_tokens(self) -> int:
        return LONGEST

    @property
    def vocab(self) -> int:
        return VOCAB

    def fluency(self, text: str) -> float:
        return 4.0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in WORD.finditer(text)]

    def tokens(self, text: str, kind: Literal["query", "document"] | None = None) -> tuple[int, ...]:
        words = (int(hashlib.md5(word.lower().encode()).hexdigest(), 16) for word in WORD.findall(text)[:LONGEST])
        prompt = {None: (), "query": (2,), "document": (3,)}[kind]
        return (1, *prompt, *(4 + number % (VOCAB - 4) for number in words))

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        return await self.embed_tokens([self.tokens(text) for text in texts])

    async def embed_tokens(self, batch: Sequence[Sequence[int]]) -> Vectors:
        if any(len(tokens) > LONGEST + 2 for tokens in batch):
            raise PromptTooLong(f"{max(map(len, batch))} tokens, and the model reads {LONGEST + 2}")
        rows = np.stack([sum((_direction(token) for token in tokens), np.full(WIDTH, 1e-3)) for tokens in batch])
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)

    async def close(self) -> None: ...


def _direction(token: int) -> Any:
    return np.random.default_rng(token).normal(size=WIDTH)


@dataclass
class WordReranker:
    """The share of the query's words that a text has."""

    async def score(self, query: str, texts: Sequence[str]) -> list[float]:
        wanted = set(WORD.findall(query.lower()))
        return [len(wanted & set(WORD.findall(text.lower()))) / max(1, len(wanted)) for text in texts]

    async def close(self) -> None: ...


@dataclass
class LineParser:
    """A paragraph per line; what begins with "broken" cannot be read."""

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        text = b"".join([part async for part in content]).decode()
        if text.startswith("broken"):
            raise Unreadable("the file is broken", "invalid_file")
        blocks = [Block(kind="paragraph", start=m.start(), end=m.end(), page=i) for i, m in enumerate(re.finditer(r".+", text), 1)]
        return Document(text=text, blocks=tuple(blocks), media_type="text/plain", title=Path(filename).stem)

    def close(self) -> None: ...


def knowledge(*, reranker: bool = False, where: str | Path | None = None, default_store: str | None = None) -> KnowledgeBase:
    store = open_store(where or Path(mkdtemp()) / "stoa.db", StoreOptions())
    embedder, parser, second = WordEmbedder(), LineParser(), WordReranker() if reranker else None
    return KnowledgeBase(
        store=store,
        embedder=embedder,
        reranker=second,
        retriever=KnowledgeSearch(store, embedder, second),
        parser=parser,
        ingestor=Ingestor(store, parser, embedder, options=WorkerOptions(poll=0.05)),
        embedding_name="words",
        rerank_name="shares" if reranker else None,
        default_store=default_store,
    )


def settle(known: KnowledgeBase, store_id: str, owner: str = "") -> None:
    """Reads what is queued."""
    asyncio.run(known.ingestor.drain(store_id, owner))
