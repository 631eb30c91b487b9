"""PostgreSQL with pgvector, which any number of processes and machines may share. All searching is done by the server."""

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, LiteralString, cast

import numpy as np
import psycopg
from numpy.typing import NDArray
from pgvector import Vector
from sqlalchemy import Connection, Table, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError

from retrieval.analysis.terms import IndexedText
from retrieval.api import DatabaseFault, Filter, KnowledgeError, Vectors
from retrieval.records import ScoredChunk
from retrieval.store.catalog import create_tables, probe_write, stored_texts
from retrieval.store.dialect import Entry, StoreState
from retrieval.store.guard import Guard
from retrieval.store.postgres import lexical
from retrieval.store.postgres.dense import VectorSearch, exact
from retrieval.store.postgres.engine import open_engine, parse_url
from retrieval.store.postgres.faults import explain
from retrieval.store.postgres.filters import condition
from retrieval.store.postgres.hnsw import HnswIndexes
from retrieval.store.postgres.tables import METADATA, chunk_vectors, chunk_words, in_keys, picture_vectors, store_sizes
from retrieval.store.schema import WORDS_BY_LANGUAGE, members

SETUP_LOCK = 0x73746F61  # advisory lock: only one process creates the tables
READ_ONLY = text("SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean")
MIN_PGVECTOR = (0, 8)  # version of pgvector; earlier ones lack iterative scans for filtered index searches


class Postgres:
    """Implements dialect.Dialect. `hnsw_above`: see dense.py."""

    def __init__(self, url: str, hnsw_above: int) -> None:
        self._url = parse_url(url)
        self._guard = Guard(lambda error: explain(error, self._url))
        self._engine = open_engine(self._url)
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self._indexes = HnswIndexes(self._engine)
        self._nearest = VectorSearch(self._indexes, hnsw_above)

    def prepare(self) -> None:
        with ExitStack() as stack:
            stack.callback(self.close)
            with self.writing() as tx:
                tx.execute(select(func.pg_advisory_xact_lock(SETUP_LOCK)))
                _require_pgvector(tx)
                found = create_tables(tx)
                METADATA.create_all(tx)
                if found < WORDS_BY_LANGUAGE:
                    _index_words_again(tx)
            stack.pop_all()  # success: keep the engine open

    @contextmanager
    def writing(self) -> Generator[Connection]:
        with self._guard.writing(), self._engine.begin() as tx:
            yield tx

    removing = writing

    @contextmanager
    def reading(self) -> Generator[Connection]:
        with self._guard.reading(), self._reader.begin() as tx:
            yield tx

    def insert(self, tx: Connection, store_key: int, entries: Sequence[Entry]) -> None:
        _copy(tx, chunk_vectors, ((entry.chunk_id, store_key, Vector(entry.vector).to_text()) for entry in entries))
        _insert_words(tx, store_key, {entry.chunk_id: entry.indexed for entry in entries})

    def remove(self, tx: Connection, store_key: int, chunk_ids: Sequence[int]) -> None:
        gone = delete(chunk_words).where(in_keys(chunk_words.c.chunk_id, chunk_ids)).returning(chunk_words.c.language, chunk_words.c.length)
        found = tx.execute(gone).all()
        tx.execute(delete(chunk_vectors).where(in_keys(chunk_vectors.c.chunk_id, chunk_ids)))
        _update_sizes(tx, store_key, [(row.language, -1, -row.length) for row in found])

    def drop(self, tx: Connection, store_key: int) -> None:
        for table in (chunk_words, chunk_vectors, picture_vectors, store_sizes):
            tx.execute(delete(table).where(table.c.store_key == store_key))

    def dense(self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None) -> list[ScoredChunk]:
        return self._nearest.search(tx, store.key, vector, limit, _matching_members(tx, store.key, filter))

    def lexical(self, tx: Connection, store: StoreState, query: str, limit: int, filter: Filter | None) -> list[ScoredChunk]:
        return lexical.lexical(tx, store.key, query, limit, _matching_members(tx, store.key, filter))

    def vectors(self, tx: Connection, chunk_ids: Sequence[int]) -> tuple[NDArray[np.int64], Vectors]:
        sent = func.vector_send(chunk_vectors.c.embedding)  # binary form: fast to decode
        rows = tx.execute(select(chunk_vectors.c.chunk_id, sent).where(in_keys(chunk_vectors.c.chunk_id, chunk_ids))).all()
        values = [Vector.from_binary(bytes(row[1])).to_numpy() for row in rows]
        return np.array([row[0] for row in rows], np.int64), np.array(values, np.float32) if rows else np.empty((0, 0), np.float32)

    def insert_pictures(self, tx: Connection, store_key: int, vectors: Mapping[int, NDArray[np.float32]]) -> None:
        _copy(tx, picture_vectors, ((chunk_id, store_key, Vector(vector).to_text()) for chunk_id, vector in vectors.items()))

    def pictures(
        self, tx: Connection, store: StoreState, vector: NDArray[np.float32], limit: int, filter: Filter | None
    ) -> list[ScoredChunk]:
        return exact(tx, store.key, vector, limit, _matching_members(tx, store.key, filter), picture_vectors)

    def check(self) -> None:
        """After a failure also by writing."""
        with self.reading() as tx:
            read_only = tx.execute(READ_ONLY).scalar_one()
        if read_only:
            raise DatabaseFault("read_only", "the server is in recovery, or default_transaction_read_only is on")
        if self._guard.fault is not None:
            with self.writing() as tx:
                probe_write(tx)

    @property
    def fault(self) -> DatabaseFault | None:
        return self._guard.fault

    def free_bytes(self) -> int | None:
        return None

    def close(self) -> None:
        self._indexes.close()
        self._engine.dispose()


def _require_pgvector(tx: Connection) -> None:
    """Creates the extension if missing. Raises KnowledgeError: not installable, or too old."""
    installed = text("SELECT extversion FROM pg_extension WHERE extname = 'vector'")
    if tx.execute(installed).scalar_one_or_none() is None:
        try:
            tx.execute(text("CREATE EXTENSION vector"))
        except DBAPIError as error:
            reason = str(error.orig).partition("\n")[0]
            advice = "install the package of pgvector on its server, then let a superuser run CREATE EXTENSION vector in it"
            raise KnowledgeError(f"the database has no pgvector ({reason}); {advice}") from None
    found = tx.execute(installed).scalar_one()
    if tuple(map(int, found.split(".")[:2])) < MIN_PGVECTOR:
        raise KnowledgeError(f"the database has pgvector {found}, 0.8 or newer is needed: ALTER EXTENSION vector UPDATE")


def _matching_members(tx: Connection, store_key: int, filter: Filter | None) -> list[int] | None:
    if filter is None:
        return None
    return list(tx.execute(select(members.c.key).where(members.c.store_key == store_key, condition(filter))).scalars())


def _insert_words(tx: Connection, store_key: int, found: Mapping[int, IndexedText]) -> None:
    rows = ((id, store_key, lexical.tsvector(store_key, of.terms), of.words, of.language) for id, of in found.items())
    _copy(tx, chunk_words, rows)
    _update_sizes(tx, store_key, [(of.language, 1, of.words) for of in found.values()])


def _index_words_again(tx: Connection) -> None:
    chunk_words.drop(tx, checkfirst=True)
    store_sizes.drop(tx, checkfirst=True)
    METADATA.create_all(tx)
    for store_key, found in stored_texts(tx):
        _insert_words(tx, store_key, found)


def _update_sizes(tx: Connection, store_key: int, changes: Sequence[tuple[str, int, int]]) -> None:
    """`changes`: language, chunks and words to add. Not called concurrently for one store: the caller holds the lock on the store's row."""
    for language in sorted({language for language, _, _ in changes}):
        chunks = sum(chunks for changed, chunks, _ in changes if changed == language)
        words = sum(words for changed, _, words in changes if changed == language)
        row = insert(store_sizes).values(store_key=store_key, language=language, chunks=chunks, words=words)
        more = {"chunks": store_sizes.c.chunks + row.excluded.chunks, "words": store_sizes.c.words + row.excluded.words}
        tx.execute(row.on_conflict_do_update(index_elements=[store_sizes.c.store_key, store_sizes.c.language], set_=more))


def _copy(tx: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    """COPY is several times as fast as INSERT."""
    driver = tx.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    names = ", ".join(column.name for column in table.columns)
    with driver.cursor() as cursor, cursor.copy(cast(LiteralString, f"COPY {table.name} ({names}) FROM STDIN")) as copy:
        for row in rows:
            copy.write_row(row)
