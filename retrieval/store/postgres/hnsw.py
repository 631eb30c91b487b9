"""A partial HNSW index for each store with many vectors: it contains no vectors of other stores, and small stores need none.
The first search that lacks it starts the build in a thread; the store stays readable and writable meanwhile.
"""

import logging
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Event, Lock

import psycopg
from sqlalchemy import Connection, Engine, column, func, select, table, text
from sqlalchemy.exc import DBAPIError

from retrieval.store.postgres.tables import chunk_vectors

LOG = logging.getLogger("stoa")
MAX_DIMENSIONS = 2_000  # pgvector's limit for HNSW indexes
HNSW_M, EF_CONSTRUCTION = 24, 128  # pgvector's defaults (16, 64) give too low recall
PREFIX = "chunk_vectors_near_"
BUILD_LOCK = 0x73746F62  # advisory lock: one build at a time in the database
LOCK_RETRY_SECONDS = 0.5  # seconds between attempts to acquire it
BUILD_MEMORY = 512  # MiB, at least, of maintenance_work_mem: a graph that does not fit takes hours to build
LEFTOVERS = text(f"""
SELECT relname FROM pg_class JOIN pg_index ON indexrelid = pg_class.oid
WHERE indrelid = to_regclass('{chunk_vectors.name}') AND relname LIKE '{PREFIX.replace("_", "~_")}%' ESCAPE '~'
  AND (relname = :mine AND NOT indisvalid
    OR NOT EXISTS (SELECT FROM stores WHERE CAST(key AS text) = substr(relname, {len(PREFIX) + 1})))
""")


class HnswIndexes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._builder = ThreadPoolExecutor(1, "hnsw")
        self._builds: dict[int, Future[None]] = {}  # by store key; one attempt per process
        self._lock, self._closed = Lock(), Event()
        self._running: psycopg.Connection | None = None

    def ready(self, tx: Connection, store_key: int) -> bool:
        index = table("pg_index", column("indisvalid"), column("indexrelid"))
        named = index.c.indexrelid == func.to_regclass(_name(store_key))
        return bool(tx.execute(select(index.c.indisvalid).where(named)).scalar_one_or_none())

    def build(self, store_key: int, dimensions: int) -> None:
        """Starts the build in the background, unless this process has already tried."""
        with self._lock:
            if store_key not in self._builds and not self._closed.is_set():
                self._builds[store_key] = self._builder.submit(self._try, store_key, dimensions)

    def wait(self) -> None:
        """Blocks until all started builds have ended."""
        wait(self._builds.values())

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._builder.shutdown(wait=False, cancel_futures=True)
            begun = list(self._builds.values())
        while wait(begun, timeout=0.1).not_done:
            self._cancel()

    def _cancel(self) -> None:
        with self._lock:
            if self._running is not None:
                self._running.cancel_safe(timeout=5)

    def _try(self, store_key: int, dimensions: int) -> None:
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection, self._cancellable(connection):
                if self._acquire_build_lock(connection):
                    _build(connection, store_key, dimensions)
        except DBAPIError as error:
            if not self._closed.is_set():
                LOG.warning("no index over the vectors of store %d, searching it stays slow: %s", store_key, error.orig)

    @contextmanager
    def _cancellable(self, connection: Connection) -> Generator[None]:
        """Lets `close` cancel the connection's statement. Detached from the pool, so its settings and locks end with it."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, psycopg.Connection)
        connection.detach()
        with self._lock:
            self._running = driver
        try:
            yield
        finally:
            with self._lock:
                self._running = None

    def _acquire_build_lock(self, connection: Connection) -> bool:
        """Polls: CREATE INDEX CONCURRENTLY waits for other transactions, so two builds at once, or a build and a statement that blocks
        on the lock, would deadlock. False: closed meanwhile."""
        while not self._closed.is_set():
            if connection.execute(select(func.pg_try_advisory_lock(BUILD_LOCK))).scalar_one():
                return True
            self._closed.wait(LOCK_RETRY_SECONDS)
        return False


def _build(connection: Connection, store_key: int, dimensions: int) -> None:
    """Also drops invalid indexes of interrupted builds and indexes of deleted stores."""
    for name in connection.execute(LEFTOVERS, {"mine": _name(store_key)}).scalars():
        connection.exec_driver_sql(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
    memory = text(
        "SELECT set_config('maintenance_work_mem', :wanted, false) WHERE pg_size_bytes(current_setting('maintenance_work_mem')) < :bytes"
    )
    connection.execute(memory, {"wanted": f"{BUILD_MEMORY}MB", "bytes": BUILD_MEMORY << 20})
    connection.exec_driver_sql(
        f'CREATE INDEX CONCURRENTLY IF NOT EXISTS "{_name(store_key)}" ON {chunk_vectors.name}'
        f" USING hnsw ((embedding::vector({dimensions})) vector_ip_ops) WITH (m = {HNSW_M}, ef_construction = {EF_CONSTRUCTION})"
        f" WHERE store_key = {store_key}"
    )


def _name(store_key: int) -> str:
    return f"{PREFIX}{store_key:d}"
