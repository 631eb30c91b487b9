"""The part of the store that is the same for all databases."""

import time
from collections.abc import Callable

from sqlalchemy import Connection, insert, inspect, select, update

from retrieval.api import DatabaseFault, KnowledgeError
from retrieval.store.dialect import Dialect, Transactions
from retrieval.store.files import FileTable
from retrieval.store.index import ChunkIndex
from retrieval.store.members import MemberTable
from retrieval.store.queue import JobQueue
from retrieval.store.schema import METADATA, SCHEMA, facts
from retrieval.store.stores import StoreTable


class Catalog(FileTable, StoreTable, MemberTable, JobQueue, ChunkIndex):
    """Implements store.api.Store over a dialect, which it prepares and closes."""

    def __init__(self, dialect: Dialect, clock: Callable[[], float] = time.time) -> None:
        dialect.prepare()
        self._dialect, self._clock = dialect, clock

    @property
    def transactions(self) -> Transactions:
        return self._dialect

    def check(self) -> None:
        self._dialect.check()

    @property
    def fault(self) -> DatabaseFault | None:
        return self._dialect.fault

    def free_bytes(self) -> int | None:
        return self._dialect.free_bytes()

    def close(self) -> None:
        self._dialect.close()


def create_tables(tx: Connection) -> None:
    """Creates missing tables of schema.METADATA. Raises KnowledgeError if the schema is newer than this program. There is one
    schema version so far; migrations belong here."""
    if inspect(tx).has_table(facts.name):
        found = int(tx.execute(select(facts.c.value).where(facts.c.name == "schema")).scalar_one())
        if found > SCHEMA:
            raise KnowledgeError(f"the database has schema {found}, this version of stoa knows {SCHEMA}: it was written by a newer one")
        return
    METADATA.create_all(tx)
    tx.execute(insert(facts).values(name="schema", value=str(SCHEMA)))


def probe_write(tx: Connection) -> None:
    """Writes a row as it is."""
    tx.execute(update(facts).where(facts.c.name == "schema").values(value=str(SCHEMA)))
