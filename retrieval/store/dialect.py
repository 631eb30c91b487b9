"""What SQLite and PostgreSQL do each in their own way. `Catalog` does all else in SQL that both understand, and calls this
inside its transactions.

Not in here, because SQLAlchemy writes it for both: `select(...).with_for_update(skip_locked=True)` (SQLite, where one
transaction writes at a time, leaves it out), `insert(...).returning(...)` and JSON columns. Rows are held
(`with_for_update`) in one order: files, stores, members; so nobody waits for somebody who waits for him.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from retrieval.api import Filter, Vectors
from retrieval.records import ScoredChunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A chunk for the indexes. Its row in `chunks` has been inserted already, by the same transaction."""

    chunk_id: int
    text: str  # what its words are taken from: title, headings and the piece itself
    vector: NDArray[np.float32]  # [dimensions], of length 1 (or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreState:
    """The row of a vector store as the transaction sees it; caches compare their own generation with these."""

    key: int
    generation: int
    removed: int  # the generation of the last removal of chunks


class Transactions(Protocol):
    """Also for those who keep tables of their own in the same database: one process writes one thing at a time."""

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction that may write: committed at the end of the block, rolled back by an exception."""
        ...

    def reading(self) -> AbstractContextManager[Connection]:
        """One transaction that sees one state of the database throughout and writes nothing."""
        ...


class Dialect(Transactions, Protocol):
    def prepare(self) -> None:
        """Creates what is missing of schema.METADATA and of its own tables, once among many processes, and checks the
        schema number. Raises KnowledgeError: newer than this program, no such database, pgvector missing."""
        ...

    def insert(self, tx: Connection, store_key: int, entries: Sequence[Entry]) -> None: ...

    def remove(self, tx: Connection, store_key: int, chunk_ids: Sequence[int]) -> None:
        """Called before their rows in `chunks` go."""
        ...

    def drop(self, tx: Connection, store_key: int) -> None:
        """All of a store: called before its row, or all its chunks, go."""
        ...

    def dense(self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None) -> list[ScoredChunk]:
        """As in store.api.Index, of what `tx` sees. `vector` [dimensions] has the store's dimensions."""
        ...

    def lexical(self, tx: Connection, store: StoreState, query: str, limit: int, filter: Filter | None) -> list[ScoredChunk]: ...

    def vectors(self, tx: Connection, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        """As they were inserted: ids of those that still exist and, row by row, their vectors. All of one dimension."""
        ...

    def close(self) -> None: ...
