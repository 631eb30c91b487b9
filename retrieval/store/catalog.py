"""The part of the store that is the same for all databases."""

import time
from collections.abc import Callable, Iterator

from sqlalchemy import DDL, Connection, insert, inspect, select, update

from retrieval.analysis.documents import indexed_texts
from retrieval.analysis.terms import IndexedText
from retrieval.api import DatabaseFault, Document, KnowledgeError, NewChunk
from retrieval.store.dialect import Dialect, Transactions
from retrieval.store.files import FileTable
from retrieval.store.index import ChunkIndex
from retrieval.store.members import MemberTable
from retrieval.store.queue import JobQueue
from retrieval.store.schema import METADATA, NEW_COLUMNS, SCHEMA, chunks, documents, facts, members
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


def create_tables(tx: Connection) -> int:
    """Creates missing tables of schema.METADATA and returns the schema version that was found; the caller brings its own tables from
    that to SCHEMA in the same transaction. Raises KnowledgeError if it is newer than this program."""
    if inspect(tx).has_table(facts.name):
        found = int(tx.execute(select(facts.c.value).where(facts.c.name == "schema")).scalar_one())
        if found > SCHEMA:
            raise KnowledgeError(f"the database has schema {found}, this version of stoa knows {SCHEMA}: it was written by a newer one")
        tx.execute(update(facts).where(facts.c.name == "schema").values(value=str(SCHEMA)))
        _add_columns(tx, found)
        METADATA.create_all(tx)
        return found
    METADATA.create_all(tx)
    tx.execute(insert(facts).values(name="schema", value=str(SCHEMA)))
    return SCHEMA


def _add_columns(tx: Connection, found: int) -> None:
    types = tx.dialect.type_compiler_instance
    for version, table, names in NEW_COLUMNS:
        for name in names if found < version else ():
            tx.execute(DDL(f"ALTER TABLE {table.name} ADD COLUMN {name} {types.process(table.c[name].type)}"))


def stored_texts(tx: Connection) -> Iterator[tuple[int, dict[int, IndexedText]]]:
    """For each document of the database: key of its store, and its chunks' terms by chunk id."""
    held = select(documents, members.c.store_key).join(members, members.c.key == documents.c.member_key)
    keys = list(tx.execute(select(documents.c.member_key).order_by(documents.c.member_key)).scalars())
    for key in keys:
        row = tx.execute(held.where(documents.c.member_key == key)).mappings().one()
        document = Document(text=row["text"], blocks=(), media_type=row["media_type"], title=row["title"])
        found = tx.execute(select(chunks).where(chunks.c.member_key == key).order_by(chunks.c.ordinal)).mappings().all()
        pieces = [NewChunk(text=of["text"], start=of["start"], end=of["end"], headings=tuple(of["headings"])) for of in found]
        yield row["store_key"], dict(zip([of["id"] for of in found], indexed_texts(document, pieces), strict=True))


def probe_write(tx: Connection) -> None:
    """Writes a row as it is."""
    tx.execute(update(facts).where(facts.c.name == "schema").values(value=str(SCHEMA)))
