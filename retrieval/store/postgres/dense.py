"""Nearest-neighbour search in PostgreSQL with pgvector: exact for up to `exact_limit` candidate chunks; above that the store's
HNSW index (hnsw.py) is used once it exists.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pgvector.sqlalchemy import VECTOR
from sqlalchemy import ColumnElement, Connection, Select, Table, bindparam, cast, func, select

from retrieval.records import ScoredChunk
from retrieval.store.postgres.hnsw import MAX_DIMENSIONS, HnswIndexes
from retrieval.store.postgres.tables import chunk_vectors, in_keys, store_sizes
from retrieval.store.schema import chunks

EF_SEARCH = 200  # minimum size of the HNSW candidate list
MAX_SCAN_TUPLES = 100_000  # bounds a filtered index scan; pgvector's default of 20,000 often loses hits


@dataclass(frozen=True)
class VectorSearch:
    indexes: HnswIndexes
    exact_limit: int

    def search(
        self, tx: Connection, store_key: int, vector: NDArray[np.float32], limit: int, members: Sequence[int] | None
    ) -> list[ScoredChunk]:
        """`members`: keys of the members to search; None: the whole store."""
        if _count(tx, store_key, members) > self.exact_limit and len(vector) <= MAX_DIMENSIONS:
            if self.indexes.ready(tx, store_key):
                return _approximate(tx, store_key, vector, limit, members)
            self.indexes.build(store_key, len(vector))
        return exact(tx, store_key, vector, limit, members)


def _count(tx: Connection, store_key: int, members: Sequence[int] | None) -> int:
    """Number of candidate chunks."""
    query = select(func.sum(store_sizes.c.chunks)).where(store_sizes.c.store_key == store_key)
    if members is not None:
        query = select(func.count()).select_from(chunks).where(in_keys(chunks.c.member_key, members))
    return int(tx.execute(query).scalar_one_or_none() or 0)


def exact(
    tx: Connection, store_key: int, vector: NDArray[np.float32], limit: int, members: Sequence[int] | None, table: Table = chunk_vectors
) -> list[ScoredChunk]:
    """The indexes are on a cast of the column; the bare column matches none, so all vectors are compared. `table`: like
    chunk_vectors."""
    distance = table.c.embedding.max_inner_product(vector)
    return _scored(tx, _query(distance, store_key, members, table).order_by("distance", table.c.chunk_id).limit(limit))


def _approximate(
    tx: Connection, store_key: int, vector: NDArray[np.float32], limit: int, members: Sequence[int] | None
) -> list[ScoredChunk]:
    settings = {"ef_search": min(max(EF_SEARCH, 2 * limit), 1000), "iterative_scan": "strict_order", "max_scan_tuples": MAX_SCAN_TUPLES}
    tx.execute(select(*(func.set_config(f"hnsw.{name}", str(value), True) for name, value in settings.items())))
    distance = cast(chunk_vectors.c.embedding, VECTOR(len(vector))).max_inner_product(vector)
    return _scored(tx, _query(distance, store_key, members, chunk_vectors).order_by("distance").limit(limit))


def _query(distance: ColumnElement[float], store_key: int, members: Sequence[int] | None, table: Table) -> Select[Any, Any]:
    """The store's key is a literal in the SQL: otherwise the planner does not match the store's partial index."""
    own = bindparam("own", store_key, literal_execute=True)
    query = select(table.c.chunk_id, distance.label("distance")).where(table.c.store_key == own)
    if members is None:
        return query
    return query.where(table.c.chunk_id.in_(select(chunks.c.id).where(in_keys(chunks.c.member_key, members))))


def _scored(tx: Connection, query: Select[Any, Any]) -> list[ScoredChunk]:
    """pgvector returns the negative inner product as distance."""
    return [ScoredChunk(chunk_id=row.chunk_id, score=-row.distance) for row in tx.execute(query)]
