"""The tables of batches. Rows are locked in the order batch, lines. (`batches` are those of files, in retrieval/store/schema.py.)"""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from retrieval.store.schema import OWNER, Id
from server.archive.schema import METADATA

batch_jobs = Table(
    "batch_jobs",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False),
    Column("endpoint", String, nullable=False),
    Column("input_file_id", String, nullable=False),  # no foreign keys to files: each may be deleted
    Column("completion_window", String, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("output_expires_after", Integer),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("times", JSON, nullable=False),  # status -> when
    Column("errors", JSON, nullable=False),
    Column("model", Text),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("output_file_id", String),
    Column("error_file_id", String),
    Column("worker", String),
    Column("lease_until", Float),
    Index("batch_jobs_order", "owner", "key"),
    Index("batch_jobs_todo", "status", "lease_until"),
    sqlite_autoincrement=True,
)

batch_lines = Table(  # until the batch has ended; a copy, so that the input file may be deleted
    "batch_lines",
    METADATA,
    Column("batch_key", Id, ForeignKey("batch_jobs.key", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("custom_id", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("succeeded", Boolean),  # null: not answered yet
    Column("output", Text),
    Index("batch_lines_todo", "batch_key", "succeeded", "attempts", "number"),
)
