"""What PostgreSQL keeps besides schema.py: vectors (pgvector), words (tsvector), and how much of them each store has.

Rows stay whole in their page (toast_tuple_target): a scan of all vectors, or of all chunks that hold a common word, must not
look each one up elsewhere.
"""

from collections.abc import Sequence

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import ARRAY, DDL, BigInteger, Column, ColumnElement, ForeignKey, Index, Integer, MetaData, Table, cast, event, func
from sqlalchemy.dialects.postgresql import TSVECTOR

from retrieval.store import schema

METADATA = MetaData()


def _chunk() -> Column[int]:
    return Column("chunk_id", ForeignKey(schema.chunks.c.id, ondelete="CASCADE"), primary_key=True, autoincrement=False)


def _store() -> ForeignKey:
    return ForeignKey(schema.stores.c.key, ondelete="CASCADE")


chunk_vectors = Table(
    "chunk_vectors",
    METADATA,
    _chunk(),
    Column("store_key", _store(), nullable=False, index=True),
    Column("embedding", VECTOR(), nullable=False),  # of any dimension: each store has one of its own
)

# A lexeme is the store's key, ":" and the word: so one index serves all stores and yields no chunk of another. It stands at
# positions 1 to n when the chunk holds the word n times.
chunk_words = Table(
    "chunk_words",
    METADATA,
    _chunk(),
    Column("store_key", _store(), nullable=False, index=True),
    Column("words", TSVECTOR, nullable=False),
    Column("length", Integer, nullable=False),  # words of the chunk, repeated ones counted as often
    Index("chunk_words_found", "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)

store_sizes = Table(
    "store_sizes",
    METADATA,
    Column("store_key", _store(), primary_key=True, autoincrement=False),
    Column("chunks", BigInteger, nullable=False),
    Column("words", BigInteger, nullable=False),  # sum of `length`
)

for _table in (chunk_vectors, chunk_words):
    event.listen(_table, "after_create", DDL("ALTER TABLE %(table)s SET (toast_tuple_target = 8160)"))


def in_keys(column: ColumnElement[int], keys: Sequence[int]) -> ColumnElement[bool]:
    """As one parameter, however many they are."""
    return column == func.any(cast(list(map(int, keys)), ARRAY(BigInteger)))
