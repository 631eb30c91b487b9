"""What a store can do: one interface over SQLite and PostgreSQL. Every method is synchronous, safe to call from any thread
and one transaction: when it has returned, its change survives the death of the process.

`owner` is the caller. What belongs to another is not found; what belongs to "" (the operator) everybody may read and
only "" may change: ReadOnly for all others.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.api import Attributes, Chunk, Filter, ModelIdentity, Vectors
from retrieval.records import (
    Batch,
    File,
    IngestedFile,
    Job,
    Member,
    NewFile,
    NewMember,
    NewVectorStore,
    Page,
    PageRequest,
    ScoredChunk,
    State,
    VectorStore,
    VectorStoreChanges,
)

if TYPE_CHECKING:
    from retrieval.store.dialect import Transactions


class Files(Protocol):
    def put_file(self, new: NewFile, content: Iterable[bytes]) -> File:
        """Parts of any size. Whatever `content` raises leaves no trace."""
        ...

    def file(self, owner: str, file_id: str) -> File: ...
    def files(self, owner: str, listing: PageRequest, purpose: str | None = None) -> Page[File]: ...
    def read_file(self, owner: str, file_id: str) -> Iterator[bytes]: ...

    def delete_file(self, owner: str, file_id: str) -> None:
        """Also from every vector store."""
        ...

    def find_file(self, owner: str, sha256: str, filename: str) -> File | None:
        """The oldest of exactly this owner with this content and this name."""
        ...

    def delete_unused(self, owner: str, file_id: str) -> bool:
        """Deletes the file unless some vector store holds it; False: it is held, or there is no such file."""
        ...


class VectorStores(Protocol):
    def create_store(self, new: NewVectorStore) -> VectorStore: ...
    def store(self, owner: str, store_id: str) -> VectorStore: ...
    def store_named(self, owner: str, name: str) -> VectorStore:
        """The oldest of that name that belongs to `owner`, else to the operator. Raises NotFound."""
        ...

    def stores(self, owner: str, listing: PageRequest) -> Page[VectorStore]: ...
    def change_store(self, owner: str, store_id: str, change: VectorStoreChanges) -> VectorStore: ...
    def delete_store(self, owner: str, store_id: str) -> None: ...
    def touch(self, store_id: str) -> None:
        """It has been used now (last_active_at; at most one write a minute)."""
        ...

    def sweep(self) -> None:
        """Removes what has expired: files, chunks of expired stores, uploads that were never completed."""
        ...


class Members(Protocol):
    def add_members(self, owner: str, store_id: str, new: Sequence[NewMember], *, batch: bool = False) -> tuple[list[Member], Batch | None]:
        """Queues files. One that is in the store already with the same chunking stays as it is but for its attributes (if it
        failed or was cancelled it is queued again); with another chunking it is queued again. Raises NotFound (and then
        adds none)."""
        ...

    def member(self, owner: str, store_id: str, file_id: str) -> Member: ...
    def members(
        self, owner: str, store_id: str, listing: PageRequest, *, states: Sequence[State] = (), batch_id: str | None = None
    ) -> Page[Member]: ...
    def sources(self, store_id: str) -> dict[str, Member]:
        """What `stoa ingest` put there: path -> member."""
        ...

    def change_member(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> Member: ...
    def remove_member(self, owner: str, store_id: str, file_id: str) -> None:
        """With its chunks; the file itself stays."""
        ...

    def batch(self, owner: str, store_id: str, batch_id: str) -> Batch: ...
    def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Members not yet ready become cancelled."""
        ...

    def chunks_of(self, owner: str, store_id: str, file_id: str) -> list[Chunk]: ...
    def chunk(self, owner: str, store_id: str, chunk_id: int) -> Chunk: ...
    def text_of(self, owner: str, store_id: str, file_id: str) -> str:
        """The parsed text, which spans refer to. Raises NotFound, Conflict while it is not ready."""
        ...


class Queue(Protocol):
    def claim(self, worker: str, seconds: float) -> Job | None:
        """The oldest member that is queued or whose worker's lease has run out; its state becomes parsing. One that has
        been claimed `MAX_ATTEMPTS` times without an end becomes failed (it kills its workers)."""
        ...

    def report(self, job: Job, state: State, progress: float, seconds: float) -> bool:
        """Also prolongs the lease. False: the job is no longer ours (removed, cancelled, leased to another); stop."""
        ...

    def complete(self, job: Job, outcome: IngestedFile) -> bool:
        """Document, chunks, vectors, full-text rows and state "ready", and the old chunks gone, in one transaction. The
        first document fixes the store's identity. False: no longer ours, nothing is stored. Raises WrongModel."""
        ...

    def fail(self, job: Job, code: str, reason: str) -> bool: ...
    def release(self, job: Job) -> None:
        """Back to the queue, without counting the attempt: the worker is being stopped."""
        ...

    def backlog(self) -> dict[State, int]:
        """How many members, of whoever's stores, are in each of the states that come before the end."""
        ...


class Index(Protocol):
    def expect(self, store_id: str, identity: ModelIdentity) -> None:
        """Raises WrongModel when the store holds vectors of another identity, and says what to do."""
        ...

    def dense(self, store_id: str, vector: Vectors, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        """Nearest to vector [dimensions] by cosine, best first. Exact below the configured size."""
        ...

    def lexical(self, store_id: str, query: str, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        """Best first by BM25; [] when no word of `query` occurs."""
        ...

    def vectors(self, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        """Of those that still exist: their ids and, row by row, their vectors."""
        ...

    def hits(self, chunk_ids: Sequence[int]) -> dict[int, tuple[Chunk, Attributes]]:
        """Those that still exist."""
        ...


class Store(Files, VectorStores, Members, Queue, Index, Protocol):
    @property
    def transactions(self) -> "Transactions":
        """Of its database."""
        ...

    def close(self) -> None: ...


MAX_ATTEMPTS = 3
