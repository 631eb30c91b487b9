"""The tables common to SQLite and PostgreSQL. Their own full-text and vector indexes are in sqlite/database.py and
postgres/tables.py.

Times are Unix seconds. A store's `generation` is incremented by every transaction that changes its chunks, under a lock on the
store's row; caches fetch the changes since their own generation. Chunk ids only increase.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

SCHEMA = 3  # schema version; increment when the tables or the analysis of texts (retrieval/analysis/) change
WORDS_BY_LANGUAGE = 2  # the version that made the word index as it is now; 3: pictures, and times of recordings
PART = 1 << 20  # bytes of a file stored per row

METADATA = MetaData()
Id = BigInteger().with_variant(Integer, "sqlite")  # in SQLite only INTEGER PRIMARY KEY is the rowid
OWNER = String(64)  # SHA-256 of the API key; "" for the operator: command line, or a server without keys

facts = Table("facts", METADATA, Column("name", String, primary_key=True), Column("value", Text, nullable=False))

files = Table(
    "files",
    METADATA,
    Column("id", String, primary_key=True),
    Column("owner", OWNER, nullable=False, index=True),
    Column("filename", Text, nullable=False),
    Column("purpose", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("complete", Boolean, nullable=False),  # False during upload: invisible; deleted by `sweep` if abandoned
)

file_parts = Table(
    "file_parts",
    METADATA,
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

stores = Table(
    "stores",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("description", Text),
    Column("metadata", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_active_at", BigInteger, nullable=False),
    Column("expires_after_days", Integer),
    Column("identity", JSON),  # of the embedding model; null until the first document
    Column("picture_identity", JSON),  # of the model that saw its pictures; null until the first
    Column("generation", BigInteger, nullable=False),
    Column("removed", BigInteger, nullable=False),  # generation of the last removal of chunks
    sqlite_autoincrement=True,  # keys are never reused: caches identify stores by them
)

members = Table(
    "members",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("store_key", ForeignKey("stores.key", ondelete="CASCADE"), nullable=False),
    Column("file_id", ForeignKey("files.id", ondelete="CASCADE"), nullable=False),
    Column("batch_id", String, index=True),
    Column("source", Text),  # absolute path from which `stoa ingest` read it
    Column("attributes", JSON, nullable=False),
    Column("chunk_size", Integer),  # tokens; null: chosen for the embedding model
    Column("chunk_overlap", Integer),
    Column("state", String, nullable=False),  # queued, parsing, embedding, ready, failed, cancelled
    Column("progress", Float, nullable=False),  # of the current state, 0..1
    Column("error_code", String),
    Column("error", Text),
    Column("notes", JSON, nullable=False),
    Column("usage_bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", String),  # ticket of the current claim
    Column("lease_until", Float),  # end of its lease; then another worker may claim it
    Index("members_once", "store_key", "file_id", unique=True),
    Index("members_todo", "state", "lease_until"),
    Index("members_tally", "store_key", "state", "usage_bytes"),
    Index("members_of_file", "file_id"),
)

batches = Table(
    "batches",
    METADATA,
    Column("id", String, primary_key=True),
    Column("store_key", ForeignKey("stores.key", ondelete="CASCADE"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("cancelled", Boolean, nullable=False),
)

documents = Table(
    "documents",
    METADATA,
    Column("member_key", ForeignKey("members.key", ondelete="CASCADE"), primary_key=True),
    Column("text", Text, nullable=False),  # parsed text, to which the spans of chunks refer
    Column("title", Text, nullable=False),
    Column("media_type", String, nullable=False),
)

chunks = Table(
    "chunks",
    METADATA,
    Column("id", Id, primary_key=True, autoincrement=True),
    Column("store_key", ForeignKey("stores.key", ondelete="CASCADE"), nullable=False),
    Column("member_key", ForeignKey("members.key", ondelete="CASCADE"), nullable=False, index=True),
    Column("generation", BigInteger, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("start", Integer, nullable=False),
    Column("end", Integer, nullable=False),
    Column("page", Integer),
    Column("headings", JSON, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the embedded text
    Column("start_seconds", Float),  # of a recording
    Column("end_seconds", Float),
    Column("picture", String),  # media type of the picture that it stands for
    Index("chunks_news", "store_key", "generation"),
    sqlite_autoincrement=True,
)

pictures = Table(
    "pictures",
    METADATA,
    Column("chunk_id", ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

# what later versions have added to tables
NEW_COLUMNS = ((3, stores, ("picture_identity",)), (3, chunks, ("start_seconds", "end_seconds", "picture")))
