"""PostgreSQL tables besides schema.py: vectors (pgvector), words (tsvector), and counts of chunks and words for each store and language.

toast_tuple_target keeps rows in their page: scanning all vectors, or all chunks with a common word, would otherwise need a
TOAST lookup per row.
"""

from collections.abc import Sequence

from pgvector.sqlalchemy import VECTOR
from sqlalchemy import ARRAY, DDL, BigInteger, Column, ColumnElement, ForeignKey, Index, Integer, MetaData, Table, Text, cast, event, func
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
    Column("embedding", VECTOR(), nullable=False),  # no fixed dimension: stores differ
)

picture_vectors = Table(
    "picture_vectors",
    METADATA,
    _chunk(),
    Column("store_key", _store(), nullable=False, index=True),
    Column("embedding", VECTOR(), nullable=False),
)

# Lexemes have the form "STORE_KEY:WORD", so that one index serves all stores and never matches a chunk of another store. A word
# that occurs n times in a chunk has the positions 1 to n.
chunk_words = Table(
    "chunk_words",
    METADATA,
    _chunk(),
    Column("store_key", _store(), nullable=False, index=True),
    Column("words", TSVECTOR, nullable=False),
    Column("length", Integer, nullable=False),  # number of words in the chunk, with repetitions
    Column("language", Text, nullable=False),
    Index("chunk_words_found", "words", postgresql_using="gin", postgresql_with={"fastupdate": "off"}),
)

store_sizes = Table(
    "store_sizes",
    METADATA,
    Column("store_key", _store(), primary_key=True, autoincrement=False),
    Column("language", Text, primary_key=True),
    Column("chunks", BigInteger, nullable=False),
    Column("words", BigInteger, nullable=False),  # sum of `length`
)

for _table in (chunk_vectors, chunk_words, picture_vectors):
    event.listen(_table, "after_create", DDL("ALTER TABLE %(table)s SET (toast_tuple_target = 8160)"))


def in_keys(column: ColumnElement[int], keys: Sequence[int]) -> ColumnElement[bool]:
    """`column` = ANY(keys): a single array parameter for any number of keys."""
    return column == func.any(cast(list(map(int, keys)), ARRAY(BigInteger)))
