"""The store interface, implemented over SQLite and PostgreSQL. Every method is synchronous, thread-safe and one transaction:
once it has returned, its change is durable.

`owner` is the caller. Objects of other owners raise NotFound. Objects of "" (the operator) are readable by all; changing them
raises ReadOnly for anyone but "".
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from retrieval.api import Attributes, Chunk, DatabaseFault, Filter, ModelIdentity, Vectors
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
    from sqlalchemy import Connection

    from retrieval.store.dialect import Transactions

AlsoWrite = Callable[["Connection", str], None]  # what one transaction writes besides a file, given the file's id


class Files(Protocol):
    def put_file(self, new: NewFile, content: Iterable[bytes], also: AlsoWrite | None = None) -> File:
        """`content`: parts of any size. `also` writes in the transaction with which the file becomes visible. If one of them raises,
        nothing is stored."""
        ...

    def file(self, owner: str, file_id: str) -> File: ...
    def files(self, owner: str, listing: PageRequest, purpose: str | None = None) -> Page[File]: ...
    def read_file(self, owner: str, file_id: str) -> Iterator[bytes]: ...

    def delete_file(self, owner: str, file_id: str) -> None:
        """Also removes the file from every vector store."""
        ...

    def find_file(self, owner: str, sha256: str, filename: str) -> File | None:
        """The oldest file of exactly this owner with this content and name."""
        ...

    def delete_unused(self, owner: str, file_id: str) -> bool:
        """Deletes the file unless a vector store contains it. False: contained, or no such file."""
        ...


class VectorStores(Protocol):
    def create_store(self, new: NewVectorStore) -> VectorStore: ...
    def store(self, owner: str, store_id: str) -> VectorStore: ...
    def store_named(self, owner: str, name: str) -> VectorStore:
        """The oldest store of that name owned by `owner`, else by the operator. Raises NotFound."""
        ...

    def stores(self, owner: str, listing: PageRequest) -> Page[VectorStore]: ...
    def change_store(self, owner: str, store_id: str, change: VectorStoreChanges) -> VectorStore: ...
    def delete_store(self, owner: str, store_id: str) -> None: ...
    def touch(self, store_id: str) -> None:
        """Sets last_active_at to now (at most one write a minute)."""
        ...

    def sweep(self) -> None:
        """Removes expired files, chunks of expired stores and abandoned uploads."""
        ...


class Members(Protocol):
    def add_members(self, owner: str, store_id: str, new: Sequence[NewMember], *, batch: bool = False) -> tuple[list[Member], Batch | None]:
        """Queues files. If a file is already in the store, its attributes are updated; it is queued again only if its chunking
        differs or it failed or was cancelled. Raises NotFound, and then adds none."""
        ...

    def member(self, owner: str, store_id: str, file_id: str) -> Member: ...
    def members(
        self, owner: str, store_id: str, listing: PageRequest, *, states: Sequence[State] = (), batch_id: str | None = None
    ) -> Page[Member]: ...
    def sources(self, store_id: str) -> dict[str, Member]:
        """Members added by `stoa ingest`: path -> member."""
        ...

    def change_member(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> Member: ...
    def remove_member(self, owner: str, store_id: str, file_id: str) -> None:
        """Removes the member and its chunks; the file itself stays."""
        ...

    def batch(self, owner: str, store_id: str, batch_id: str) -> Batch: ...
    def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Members not yet ready become cancelled."""
        ...

    def chunks_of(self, owner: str, store_id: str, file_id: str) -> list[Chunk]: ...
    def chunk(self, owner: str, store_id: str, chunk_id: int) -> Chunk: ...
    def picture(self, owner: str, store_id: str, chunk_id: int) -> tuple[str, bytes]:
        """Media type and content of the picture that a chunk stands for. Raises NotFound."""
        ...

    def text_of(self, owner: str, store_id: str, file_id: str) -> str:
        """The parsed text, to which spans of chunks refer. Raises NotFound, or Conflict if there is none yet."""
        ...


class Queue(Protocol):
    def claim(self, worker: str, seconds: float) -> Job | None:
        """Leases a member for `seconds`: the oldest with an expired lease, else the oldest queued. Its state becomes parsing.
        A member claimed `MAX_ATTEMPTS` times without a result becomes failed: it probably crashes the workers."""
        ...

    def report(self, job: Job, state: State, progress: float, seconds: float) -> bool:
        """Updates the progress and extends the lease. False: the lease is lost (removed, cancelled, claimed by another); stop."""
        ...

    def complete(self, job: Job, outcome: IngestedFile) -> bool:
        """Replaces the member's document, chunks, vectors and full-text rows and sets state "ready", in one transaction. The first
        document fixes the store's identity. False: the lease is lost and nothing is stored. Raises WrongModel."""
        ...

    def fail(self, job: Job, code: str, reason: str) -> bool: ...
    def release(self, job: Job) -> None:
        """Returns the job to the queue without counting the attempt; for a worker that is being stopped."""
        ...

    def backlog(self) -> dict[State, int]:
        """Number of members, over all owners, in each unfinished state."""
        ...


class Index(Protocol):
    def expect(self, store_id: str, identity: ModelIdentity) -> None:
        """Raises WrongModel, with a remedy, if the store's vectors have another identity."""
        ...

    def dense(self, store_id: str, vector: Vectors, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        """Chunks nearest to vector [dimensions] by cosine similarity, best first. Exact up to StoreOptions.hnsw_above chunks."""
        ...

    def expect_pictures(self, store_id: str, identity: ModelIdentity) -> None:
        """As `expect`, of the model that saw the store's pictures."""
        ...

    def pictures(self, store_id: str, vector: Vectors, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        """As `dense`, of chunks that stand for pictures, by what these show; vector: of the model that saw them."""
        ...

    def lexical(self, store_id: str, query: str, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        """Chunks by BM25, best first; [] if no word of `query` occurs."""
        ...

    def vectors(self, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        """Ids of the chunks that still exist and, row by row, their vectors."""
        ...

    def hits(self, chunk_ids: Sequence[int]) -> dict[int, tuple[Chunk, Attributes]]:
        """Chunks that still exist, with their member's attributes, by id."""
        ...


class Store(Files, VectorStores, Members, Queue, Index, Protocol):
    @property
    def transactions(self) -> "Transactions":
        """Transactions on the store's database."""
        ...

    def check(self) -> None:
        """Raises DatabaseFault if the database cannot be read and written now."""
        ...

    @property
    def fault(self) -> DatabaseFault | None:
        """What ended the latest transaction that failed; None: a write has succeeded since, perhaps that of `check`."""
        ...

    def free_bytes(self) -> int | None:
        """Room left on the disk of the database; None where that is not known."""
        ...

    def close(self) -> None: ...


MAX_ATTEMPTS = 3
