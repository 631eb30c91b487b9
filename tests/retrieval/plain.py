"""A parser and an embedder that do the least, quickly and the same each time."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from retrieval.api import Block, Document, ModelIdentity, Unreadable, Vectors

WIDTH = 256


class PlainParser:
    """Text as it is, a paragraph per line."""

    async def parse(self, content: AsyncIterator[bytes], filename: str) -> Document:
        text = b"".join([part async for part in content]).decode()
        if not text.strip():
            raise Unreadable("the file holds no text")
        blocks: list[Block] = []
        at = 0
        for line in text.splitlines(keepends=True):
            if line.strip():
                blocks.append(Block(kind="paragraph", start=at, end=at + len(line.rstrip("\n"))))
            at += len(line)
        return Document(text=text, blocks=tuple(blocks), media_type="text/plain")


@dataclass
class WordEmbedder:
    """A text's vector says which words are in it. A token is a word."""

    identity: ModelIdentity = field(default=ModelIdentity(model="words", revision="1", dimensions=WIDTH, pooling="mean+normalize"))
    max_tokens: int = 32
    pause: float = 0.0  # seconds per call
    texts: list[str] = field(default_factory=list[str])

    def fluency(self, text: str) -> float:
        return 4.0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        at = 0
        for word in text.split():
            start = text.index(word, at)
            at = start + len(word)
            spans.append((start, at))
        return spans

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        await asyncio.sleep(self.pause)
        self.texts += texts
        rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.lower().split()[: self.max_tokens]:
                row[zlib.crc32(word.strip(".,:").encode()) % WIDTH] += 1
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
