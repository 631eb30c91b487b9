"""From bytes to what the store keeps."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pytest

from engine.api import QueueFull
from retrieval.api import Chunking, Document, Unreadable, Vectors
from retrieval.ingest.pipeline import EMBED_BATCH, IngestPipeline, JobProgress, pool_windows, split_windows, with_title
from retrieval.records import IngestedFile, Job
from tests.retrieval.plain import PlainParser, WordEmbedder

WORDS = "one two three four five six seven eight nine ten"
JOB = Job(member_key=1, ticket="t", store_id="vs", file_id="f", owner="", filename="a_note.txt", bytes=1, chunking=Chunking(), attempts=1)


async def content(text: str) -> AsyncIterator[bytes]:
    yield text.encode()


def digest(
    text: str, embedder: WordEmbedder, job: Job = JOB, default: Chunking | None = None, stage: JobProgress | None = None
) -> IngestedFile:
    digestion = IngestPipeline(PlainParser(), embedder, default or Chunking())
    return asyncio.run(digestion.run(job, content(text), stage or JobProgress()))


def test_what_is_embedded_is_the_piece_below_its_title() -> None:
    embedder, stage = WordEmbedder(), JobProgress()
    outcome = digest(WORDS, embedder, stage=stage)
    assert embedder.texts == [f"a note\n{WORDS}"]
    assert [piece.text for piece in outcome.chunks] == [WORDS] and outcome.vectors.shape == (1, 256)
    assert outcome.identity == embedder.identity and outcome.document.title == "a note"
    assert (stage.state, stage.progress) == ("embedding", 1.0)


def test_the_job_wishes_its_sizes_before_the_settings_do() -> None:
    text = "\n".join(f"Sentence number {n} is here." for n in range(40))
    default = Chunking(size=20, overlap=0)
    assert len(digest(text, WordEmbedder(), default=default).chunks) == 10
    assert len(digest(text, WordEmbedder(), replace(JOB, chunking=Chunking(size=10)), default).chunks) == 20
    many = digest(text, WordEmbedder(), replace(JOB, chunking=Chunking(size=10, overlap=5)), default).chunks
    assert len(many) > 20 and many[1].start < many[0].end


def test_a_piece_longer_than_the_model_reads_is_embedded_to_its_end() -> None:
    embedder = WordEmbedder()
    text = "Alpha " * 30 + "beta " * 30 + "omega."
    outcome = digest(text, embedder, replace(JOB, chunking=Chunking(size=100)))
    assert len(outcome.chunks) == 1 and len(embedder.texts) == 2
    assert all(len(embedder.offsets(text)) <= embedder.max_tokens for text in embedder.texts)
    last = asyncio.run(embedder.embed(["omega"], "query"))
    assert float(outcome.vectors[0] @ last[0]) > 0.01
    assert np.linalg.norm(outcome.vectors[0]) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 64, 65, 200])
def test_windows_hold_all_of_a_text_in_about_equal_parts(count: int) -> None:
    embedder = WordEmbedder()
    text = " ".join(f"w{n}" for n in range(count))
    parts = split_windows(text, embedder)
    lengths = [len(embedder.offsets(part)) for part in parts]
    assert " ".join(parts) == text and max(lengths) <= 32 and max(lengths) - min(lengths) <= 1
    assert len(parts) == -(-count // 32)


def test_pooled_rows_are_means_of_their_runs() -> None:
    rows = np.array([[1, 0], [0, 1], [0, 3], [5, 5]], dtype=np.float32)
    np.testing.assert_allclose(pool_windows(rows, [1, 2, 1], unit=False), [[1, 0], [0, 2], [5, 5]])
    np.testing.assert_allclose(np.linalg.norm(pool_windows(rows, [1, 2, 1], unit=True), axis=1), 1, rtol=1e-6)


def test_a_title_of_its_own_stays() -> None:
    document = Document(text="", blocks=(), media_type="text/plain", title="Report")
    assert with_title(document, "x.pdf").title == "Report"
    assert with_title(replace(document, title=""), "guide/set_up.md").title == "set up"


@dataclass
class BusyEmbedder(WordEmbedder):
    """Full at every second call."""

    sizes: list[int] = field(default_factory=list[int])

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        self.sizes.append(len(texts))
        if len(self.sizes) % 2:
            raise QueueFull("wait")
        return await super().embed(texts, kind)


def test_a_full_encoder_is_waited_for_and_never_gets_more_than_a_batch() -> None:
    embedder = BusyEmbedder(max_tokens=16)
    text = "\n".join(f"Sentence number {n} is here, and longer than the others are today." for n in range(EMBED_BATCH + 10))
    outcome = digest(text, embedder, replace(JOB, chunking=Chunking(size=12, overlap=0)))
    assert len(outcome.chunks) == EMBED_BATCH + 10 == len(outcome.vectors)
    assert embedder.sizes == [EMBED_BATCH, EMBED_BATCH, 10, 10]


def test_a_file_without_text_is_unreadable() -> None:
    with pytest.raises(Unreadable, match="no text"):
        digest(" \n", WordEmbedder())
