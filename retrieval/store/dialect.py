"""The operations that SQLite and PostgreSQL implement differently. `Catalog` does everything else in SQL common to both and
calls these inside its transactions.

SQLAlchemy covers both for `select(...).with_for_update(skip_locked=True)` (omitted on SQLite, which has one writer at a time),
`insert(...).returning(...)` and JSON columns. To avoid deadlocks, rows are locked (`with_for_update`) in the order files,
stores, members.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from retrieval.analysis.terms import IndexedText
from retrieval.api import DatabaseFault, Filter, Vectors
from retrieval.records import ScoredChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A chunk to be indexed. The same transaction has already inserted its row in `chunks`."""

    chunk_id: int
    indexed: IndexedText  # for full-text search: of title, headings and chunk text
    vector: NDArray[np.float32]  # [dimensions], of length 1 (or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """A vector store's row as seen by the transaction; caches compare their generation with these."""

    key: int
    generation: int
    removed: int  # the generation of the last removal of chunks


class Transactions(Protocol):
    """Also used by other components with tables in the same database: SQLite allows one writer per process. All raise DatabaseFault for
    what the database is to blame for."""

    def writing(self) -> AbstractContextManager[Connection]:
        """A read-write transaction: committed at the end of the block, rolled back on an exception."""
        ...

    def removing(self) -> AbstractContextManager[Connection]:
        """As `writing`, for what frees space: it also works where the disk is full."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """A read-only transaction with a consistent snapshot of the database."""
        ...


class Dialect(Transactions, Protocol):
    def prepare(self) -> None:
        """Creates missing tables (schema.METADATA and the dialect's own), safely if several processes start at once, checks the
        schema version, and makes the word index anew that an older version made. Raises KnowledgeError: schema newer than this program,
        no such database, pgvector missing."""
        ...

    def insert(self, tx: Connection, store_key: int, entries: Sequence[Entry]) -> None: ...

    def remove(self, tx: Connection, store_key: int, chunk_ids: Sequence[int]) -> None:
        """Removes chunks from the indexes. Called before their rows in `chunks` are deleted."""
        ...

    def drop(self, tx: Connection, store_key: int) -> None:
        """Removes a whole store from the indexes. Called before its row or all its chunks are deleted."""
        ...

    def dense(self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None) -> list[ScoredChunk]:
        """As store.api.Index.dense, on the snapshot of `tx`. `vector` [dimensions] has the store's dimensions."""
        ...

    def lexical(self, tx: Connection, store: StoreState, query: str, limit: int, filter: Filter | None) -> list[ScoredChunk]: ...

    def vectors(self, tx: Connection, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        """Ids of the chunks that still exist and their vectors, row by row, as inserted. All must have the same dimension."""
        ...

    def insert_pictures(self, tx: Connection, store_key: int, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        """`vectors`: of length 1, by the ids of chunks that stand for pictures. They go with their chunks."""
        ...

    def pictures(
        self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[ScoredChunk]:
        """As `dense`, among pictures. Exact."""
        ...

    def check(self) -> None:
        """Raises DatabaseFault if the database cannot be read and written now."""
        ...

    @property
    def fault(self) -> DatabaseFault | None:
        """What ended the latest transaction that failed; None: a write has succeeded since, perhaps that of `check`."""
        ...

    def free_bytes(self) -> int | None:
        """Room left on the disk; None where that is not known."""
        ...

    def close(self) -> None: ...
