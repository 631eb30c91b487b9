"""The process that bench.kill kills: brings a store up to date with a directory, and says aloud what the store has
acknowledged, after the fact, and what it is about to take away, before the fact.

python -m bench.kill_child DATABASE DIRECTORY MODEL
"""

import asyncio
import os
import sys
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from retrieval.api import Embedder, ModelIdentity, Vectors
from retrieval.ingest.sync import Sync, SyncOptions
from retrieval.ingest.walk import walk
from retrieval.ingest.worker import Ingestor, WorkerOptions
from retrieval.parse.sandbox import SubprocessParser
from retrieval.records import Batch, File, IngestedFile, Job, Member, NewFile, NewMember
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import AlsoWrite, Store
from retrieval.threads import in_thread
from server.cli.ingest import get_or_create_store

WIDTH = 64
PACE = WorkerOptions(lease=1.0, poll=0.1)  # the files of those killed before are not waited for long


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


class Spoken:
    """A store.api.Store that says what it does."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def put_file(self, new: NewFile, content: Iterable[bytes], also: AlsoWrite | None = None) -> File:
        file = self._store.put_file(new, content, also)
        say("put", file.id)
        return file

    def add_members(self, owner: str, store_id: str, new: Sequence[NewMember]) -> tuple[list[Member], Batch | None]:
        added = self._store.add_members(owner, store_id, new)
        for member in added[0]:
            say("member", member.file_id)
        return added

    def complete(self, job: Job, outcome: IngestedFile) -> bool:
        done = self._store.complete(job, outcome)
        if done:
            say("ready", job.file_id, len(outcome.chunks))
        return done

    def remove_member(self, owner: str, store_id: str, file_id: str) -> None:
        say("member-goes", file_id)
        self._store.remove_member(owner, store_id, file_id)

    def delete_unused(self, owner: str, file_id: str) -> bool:
        say("file-goes", file_id)
        return self._store.delete_unused(owner, file_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Words:
    """An embedder that costs nothing: a text's vector says which words are in it. It takes its time for it, as others do."""

    identity = ModelIdentity(model="words", revision="1", dimensions=WIDTH, pooling="mean")
    max_tokens = 256

    def fluency(self, text: str) -> float:
        return 4.0

    def offsets(self, text: str) -> list[tuple[int, int]]:
        ends = np.cumsum([len(word) + 1 for word in text.split(" ")])
        return [(int(end) - len(word) - 1, int(end) - 1) for word, end in zip(text.split(" "), ends, strict=True) if word]

    async def embed(self, texts: Sequence[str], kind: Literal["query", "document"]) -> Vectors:
        await asyncio.sleep(0.01 * len(texts))
        rows = np.zeros((len(texts), WIDTH), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[zlib.crc32(word.encode()) % WIDTH] += 1
        return rows


def embedder(model: str) -> Embedder:
    if model == "words":
        return Words()
    from retrieval.embedding.embed import EmbedOptions, open_embedder
    from server.weights.pull import pull

    return open_embedder(pull(model), EmbedOptions())


async def ingest(store: Store, folder: Path, embedder: Embedder) -> None:
    parser = SubprocessParser()
    ingestor = Ingestor(store, parser, embedder, options=PACE)
    work = asyncio.create_task(ingestor.run())
    sync = Sync(store, get_or_create_store(store, "kb"), SyncOptions())
    say("begun")
    await in_thread(sync.begin, walk([folder]), lambda *_: ingestor.wake())
    await ingestor.drain(sync.store_id)
    await in_thread(sync.finish)
    work.cancel()
    await asyncio.wait({work})
    parser.close()


def main() -> None:
    database, folder, model = sys.argv[1:]
    spoken: Any = Spoken(open_store(database, StoreOptions()))
    asyncio.run(ingest(spoken, Path(folder), embedder(model)))


if __name__ == "__main__":
    main()
