"""Chunk lookup by vector, by words and by id."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, RowMapping, select

from retrieval.api import Attributes, Chunk, Filter, ModelIdentity, NotFound, Vectors, WrongModel
from retrieval.records import ScoredChunk
from retrieval.store.dialect import Dialect, StoreState
from retrieval.store.identity import expect_identity
from retrieval.store.queue import unit
from retrieval.store.rows import CHUNKS, chunk_record, identity_record
from retrieval.store.schema import chunks, stores


class ChunkIndex:
    """Implements store.api.Index."""

    _dialect: Dialect

    def expect(self, store_id: str, identity: ModelIdentity) -> None:
        with self._dialect.reading() as tx:
            row = _store(tx, store_id)
        expect_identity(row, identity)

    def expect_pictures(self, store_id: str, identity: ModelIdentity) -> None:
        with self._dialect.reading() as tx:
            row = _store(tx, store_id)
        expect_identity(row, identity, "picture_identity")

    def dense(self, store_id: str, vector: Vectors, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        with self._dialect.reading() as tx:
            row = _store(tx, store_id)
            query = _comparable(row, "identity", vector)
            return [] if query is None else self._dialect.dense(tx, _state(row), query, limit, filter)

    def pictures(self, store_id: str, vector: Vectors, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        with self._dialect.reading() as tx:
            row = _store(tx, store_id)
            query = _comparable(row, "picture_identity", vector)
            return [] if query is None else self._dialect.pictures(tx, _state(row), query, limit, filter)

    def lexical(self, store_id: str, query: str, limit: int, filter: Filter | None = None) -> list[ScoredChunk]:
        with self._dialect.reading() as tx:
            return self._dialect.lexical(tx, _state(_store(tx, store_id)), query, limit, filter)

    def vectors(self, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        with self._dialect.reading() as tx:
            return self._dialect.vectors(tx, chunk_ids)

    def hits(self, chunk_ids: Sequence[int]) -> dict[int, tuple[Chunk, Attributes]]:
        if not chunk_ids:
            return {}
        with self._dialect.reading() as tx:
            rows = tx.execute(CHUNKS.where(chunks.c.id.in_(chunk_ids))).mappings()
            return {row["id"]: (chunk_record(row), row["attributes"]) for row in rows}


def _store(tx: Connection, store_id: str) -> RowMapping:
    if (row := tx.execute(select(stores).where(stores.c.id == store_id)).mappings().one_or_none()) is None:
        raise NotFound("vector store", store_id)
    return row


def _comparable(row: RowMapping, column: str, vector: Vectors) -> NDArray[np.float32] | None:
    """The vector of length 1; None: the store has none to compare it with. Raises WrongModel."""
    if (identity := identity_record(row[column])) is None:
        return None
    if len(vector) != identity.dimensions:
        raise WrongModel(f"the vectors of {row['id']!r} have {identity.dimensions} dimensions, the one to look for {len(vector)}")
    return unit(np.asarray(vector, np.float32)[None])[0]


def _state(row: RowMapping) -> StoreState:
    return StoreState(key=row["key"], generation=row["generation"], removed=row["removed"])
