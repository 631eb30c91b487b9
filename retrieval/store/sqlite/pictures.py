"""Vectors of each store's pictures in memory, read again where there are other pictures now. Compared with all of them: a store holds far
fewer pictures than passages."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from retrieval.api import Vectors
from retrieval.records import ScoredChunk

KEPT = 16  # stores whose pictures are kept in memory
# ids of chunks only grow: number and last id say which pictures there are
VERSION = "SELECT count(*), max(chunk_id) FROM picture_vectors WHERE store_key = ?"
ALL = (
    "SELECT chunk_id, member_key, vector FROM picture_vectors JOIN chunks ON chunk_id = id WHERE picture_vectors.store_key = ?"
    " ORDER BY chunk_id"
)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Row i of each array belongs to the same picture."""

    version: tuple[int, int | None]
    ids: NDArray[np.int64]
    members: NDArray[np.int64]
    vectors: Vectors


class PictureVectors:
    def __init__(self) -> None:
        self._lock, self._stores = Lock(), OrderedDict[int, _Pictures]()

    def nearest(
        self, tx: Connection, store_key: int, vector: NDArray[np.float32], limit: int, members: NDArray[np.int64] | None
    ) -> list[ScoredChunk]:
        """Best first. `members`: keys of those to search; None: all."""
        known = self._at(tx, store_key)
        allowed = np.arange(len(known.ids)) if members is None else np.flatnonzero(np.isin(known.members, members))
        if not len(allowed):
            return []
        scores = known.vectors[allowed] @ vector
        best = np.argsort(-scores, kind="stable")[:limit]
        return [ScoredChunk(chunk_id=int(known.ids[allowed[i]]), score=float(scores[i])) for i in best]

    def clear(self) -> None:
        with self._lock:
            self._stores.clear()

    def _at(self, tx: Connection, store_key: int) -> _Pictures:
        count, last = tx.exec_driver_sql(VERSION, (store_key,)).one()
        with self._lock:
            if (known := self._stores.get(store_key)) is not None and known.version == (count, last):
                self._stores.move_to_end(store_key)
                return known
        read = _read(tx, store_key, (count, last))
        with self._lock:
            self._stores[store_key] = read
            while len(self._stores) > KEPT:
                self._stores.popitem(last=False)
        return read


def _read(tx: Connection, store_key: int, version: tuple[int, int | None]) -> _Pictures:
    rows = tx.exec_driver_sql(ALL, (store_key,)).all()
    ids, members = (np.array([row[i] for row in rows], np.int64) for i in (0, 1))
    found = np.frombuffer(b"".join(row[2] for row in rows), np.float32).reshape(len(rows), -1) if rows else np.empty((0, 0), np.float32)
    return _Pictures(version, ids, members, found)
