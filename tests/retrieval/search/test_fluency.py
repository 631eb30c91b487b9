"""What was told of a chunk is remembered, so that a query need not read it again."""

from types import SimpleNamespace
from typing import Any

from retrieval.search import fluency
from retrieval.search.fluency import ChunkFluency


class Reads:
    """A store that counts how often its chunks are read, and the model that knows their language by their length."""

    def __init__(self) -> None:
        self.read = list[int]()

    def hits(self, chunks: list[int]) -> dict[int, tuple[Any, Any]]:
        self.read += chunks
        return {chunk: (SimpleNamespace(text="x" * chunk), {}) for chunk in chunks if chunk}

    def fluency(self, text: str) -> float:
        return float(len(text))


def mean(known: ChunkFluency, reads: Any, query: str, *chunks: int) -> float:
    return known.mean(reads, reads, query, chunks)


def test_the_query_counts_as_much_as_the_chunks() -> None:
    known, reads = ChunkFluency(), Reads()
    assert mean(known, reads, "four", 2, 4) == 3.5
    assert mean(known, reads, "four") == 4.0
    assert mean(known, reads, "four", 0) == 4.0  # a chunk that was deleted meanwhile


def test_chunks_are_read_once() -> None:
    known, reads = ChunkFluency(), Reads()
    for query in ("a", "bb", "ccc"):
        mean(known, reads, query, 5, 7)
    assert reads.read == [5, 7]


def test_few_are_remembered(monkeypatch: Any) -> None:
    monkeypatch.setattr(fluency, "REMEMBERED", 2)
    known, reads = ChunkFluency(), Reads()
    for chunk in (1, 2, 1, 3, 1, 2):
        mean(known, reads, "q", chunk)
    assert reads.read == [1, 2, 3, 2]  # 2 was the one that was asked for least recently
