"""SQLite: one file, WAL, one writer at a time. Vectors and words are in separate tables, written in the same transaction as the
chunks; searches are answered from an in-memory copy (cache.py).

All stores share one full-text table, with terms prefixed by the store's key. One table per store could be dropped faster than
rows are deleted, but a thousand small stores would mean five thousand tables in the schema that each connection parses.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, select

from retrieval.analysis.words import JOINTS
from retrieval.api import DatabaseFault, Filter, Vectors
from retrieval.records import ScoredChunk
from retrieval.search.filters import matches
from retrieval.store.catalog import create_tables, stored_texts
from retrieval.store.dialect import Entry, StoreState
from retrieval.store.schema import WORDS_BY_LANGUAGE, stores
from retrieval.store.sqlite.cache import StoreCache, StoreChanges
from retrieval.store.sqlite.caches import StoreCaches
from retrieval.store.sqlite.pictures import PictureVectors
from retrieval.store.sqlite.transactions import SQLiteTransactions

TABLES = (
    "CREATE TABLE IF NOT EXISTS entries (chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,"
    " words INTEGER NOT NULL, language TEXT NOT NULL, vector BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS picture_vectors (chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE,"
    " store_key INTEGER NOT NULL, vector BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS pictures_of_store ON picture_vectors (store_key, chunk_id)",
    "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5"
    f""" (terms, columnsize = 0, tokenize = "ascii tokenchars '{"".join(c for c in JOINTS if c.isascii()).replace("'", "''")}'")""",
    "CREATE VIRTUAL TABLE IF NOT EXISTS occurrences USING fts5vocab (words, instance)",
)
NEWS = (  # in id order (ids rise with generations), written so that the index chunks_news is used
    "SELECT id, member_key, words, vector, language FROM chunks JOIN entries ON chunk_id = id"
    " WHERE store_key = ? AND generation > ? ORDER BY generation, id"
)


class SQLite:
    """Implements dialect.Dialect."""

    def __init__(self, path: Path, hnsw_above: int) -> None:
        self._transactions = SQLiteTransactions(path, self._create_tables)
        self.writing, self.removing, self.reading = self._transactions.writing, self._transactions.removing, self._transactions.reading
        self.check, self.free_bytes = self._transactions.check, self._transactions.free_bytes
        self._caches, self._pictures = StoreCaches(self._load, hnsw_above), PictureVectors()

    @property
    def fault(self) -> DatabaseFault | None:
        return self._transactions.fault

    def prepare(self) -> None:
        self._transactions.open()

    def insert(self, tx: Connection, store_key: int, entries: Sequence[Entry]) -> None:
        rows = [(entry.chunk_id, entry.indexed.words, entry.indexed.language, entry.vector.tobytes()) for entry in entries]
        texts = [(entry.chunk_id, _stored(store_key, entry.indexed.terms)) for entry in entries]
        if rows:
            tx.exec_driver_sql("INSERT INTO entries (chunk_id, words, language, vector) VALUES (?, ?, ?, ?)", rows)
            tx.exec_driver_sql("INSERT INTO words (rowid, terms) VALUES (?, ?)", texts)

    def remove(self, tx: Connection, store_key: int, chunk_ids: Sequence[int]) -> None:
        """The rows with the vectors are deleted by ON DELETE CASCADE."""
        tx.exec_driver_sql("DELETE FROM words WHERE rowid IN (SELECT value FROM json_each(?))", (json.dumps(chunk_ids),))

    def drop(self, tx: Connection, store_key: int) -> None:
        tx.exec_driver_sql("DELETE FROM words WHERE rowid IN (SELECT id FROM chunks WHERE store_key = ?)", (store_key,))
        self._caches.forget(store_key)

    def dense(self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None) -> list[ScoredChunk]:
        with self._cache(tx, store) as cache:
            return cache.nearest(vector, limit, _members(tx, store, filter))

    def lexical(self, tx: Connection, store: StoreState, query: str, limit: int, filter: Filter | None) -> list[ScoredChunk]:
        with self._cache(tx, store) as cache, self._transaction_as_new_as(tx, store, cache) as current:
            return cache.best(query, limit, lambda term: _occurrences(current, store.key, term), _members(tx, store, filter))

    def vectors(self, tx: Connection, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        query = "SELECT chunk_id, vector FROM entries WHERE chunk_id IN (SELECT value FROM json_each(?))"
        rows = tx.exec_driver_sql(query, (json.dumps(list(map(int, chunk_ids))),)).all()
        return np.array([row[0] for row in rows], np.int64), _matrix([row[1] for row in rows])

    def insert_pictures(self, tx: Connection, store_key: int, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        rows = [(chunk_id, store_key, vector.tobytes()) for chunk_id, vector in vectors.items()]
        tx.exec_driver_sql("INSERT INTO picture_vectors (chunk_id, store_key, vector) VALUES (?, ?, ?)", rows)

    def pictures(
        self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[ScoredChunk]:
        return self._pictures.nearest(tx, store.key, vector, limit, _members(tx, store, filter))

    def close(self) -> None:
        self._caches.close()
        self._transactions.close()

    def _create_tables(self) -> None:
        """Also called when another file has taken the place of the database."""
        self._caches.clear()
        self._pictures.clear()
        with self.writing() as tx:
            found = create_tables(tx)
            for table in TABLES:
                tx.exec_driver_sql(table)
            if found < WORDS_BY_LANGUAGE:
                _index_words_again(tx)

    @contextmanager
    def _cache(self, tx: Connection, store: StoreState) -> Generator[StoreCache]:
        with self._caches.at(store.key, store.generation, lambda since, words: _changes_since(tx, store, since, words)) as cache:
            yield cache

    def _load(self, store_key: int) -> StoreCache | None:
        cache, query = StoreCache(), select(stores.c.key, stores.c.generation, stores.c.removed).where(stores.c.key == store_key)
        with self.reading() as tx:
            if (row := tx.execute(query).mappings().one_or_none()) is None:
                return None
            store = StoreState(**row)
            with cache.at(store.generation, lambda since, words: _changes_since(tx, store, since, words)):
                return cache

    @contextmanager
    def _transaction_as_new_as(self, tx: Connection, store: StoreState, cache: StoreCache) -> Generator[Connection]:
        """A transaction at least as new as the cache: it keeps the postings it reads, and older ones would be incomplete."""
        if store.generation >= cache.generation:
            yield tx
        else:
            with self.reading() as later:
                later.execute(select(stores.c.generation).where(stores.c.key == store.key))
                yield later


def _changes_since(tx: Connection, store: StoreState, since: int, with_words: bool) -> StoreChanges:
    rows = tx.exec_driver_sql(NEWS, (store.key, since)).all()
    ids = np.array([row[0] for row in rows], np.int64)
    return StoreChanges(
        generation=store.generation,
        ids=ids,
        members=np.array([row[1] for row in rows], np.int64),
        lengths=np.array([row[2] for row in rows], np.float32),
        vectors=_matrix([row[3] for row in rows]),
        words=_words(tx, ids) if with_words else (),
        languages=[row[4] for row in rows],
        left=_ids(tx, store) if store.removed > since else None,
    )


def _index_words_again(tx: Connection) -> None:
    tx.exec_driver_sql("ALTER TABLE entries ADD COLUMN language TEXT NOT NULL DEFAULT 'en'")
    tx.exec_driver_sql("DELETE FROM words")
    for store_key, found in stored_texts(tx):
        sizes = [(of.words, of.language, chunk_id) for chunk_id, of in found.items()]
        texts = [(chunk_id, _stored(store_key, of.terms)) for chunk_id, of in found.items()]
        if sizes:
            tx.exec_driver_sql("UPDATE entries SET words = ?, language = ? WHERE chunk_id = ?", sizes)
            tx.exec_driver_sql("INSERT INTO words (rowid, terms) VALUES (?, ?)", texts)


def _stored(store_key: int, terms: Sequence[str]) -> str:
    return " ".join([f"{store_key}:{term}" for term in terms])


def _matrix(blobs: list[bytes]) -> Vectors:
    return np.frombuffer(b"".join(blobs), np.float32).reshape(len(blobs), -1) if blobs else np.empty((0, 0), np.float32)


def _words(tx: Connection, ids: NDArray[np.int64]) -> list[list[str]]:
    query = "SELECT terms FROM words WHERE rowid IN (SELECT value FROM json_each(?)) ORDER BY rowid"
    rows = tx.exec_driver_sql(query, (json.dumps(ids.tolist()),))
    return [[term.partition(":")[2] for term in row[0].split()] for row in rows]


def _ids(tx: Connection, store: StoreState) -> NDArray[np.int64]:
    return _numbers(tx.exec_driver_sql("SELECT group_concat(id) FROM chunks WHERE store_key = ?", (store.key,)).scalar())


def _occurrences(tx: Connection, store_key: int, term: str) -> NDArray[np.int64]:
    return _numbers(tx.exec_driver_sql("SELECT group_concat(doc) FROM occurrences WHERE term = ?", (f"{store_key}:{term}",)).scalar())


def _numbers(text: str | None) -> NDArray[np.int64]:
    """Parses a group_concat of integers, several times faster than fetching one row each."""
    return np.fromstring(text, np.int64, sep=",") if text else np.empty(0, np.int64)


def _members(tx: Connection, store: StoreState, filter: Filter | None) -> NDArray[np.int64] | None:
    """Keys of the members that match the filter. Grouped by attributes, which many members share."""
    if filter is None:
        return None
    query = "SELECT attributes, group_concat(key) FROM members WHERE store_key = ? GROUP BY attributes"
    rows = tx.exec_driver_sql(query, (store.key,))
    return _numbers(",".join(keys for attributes, keys in rows if matches(filter, json.loads(attributes))))
