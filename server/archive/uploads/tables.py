"""The tables of uploads. Rows are locked in the order uploads, parts."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Integer, LargeBinary, String, Table, Text

from retrieval.store.schema import OWNER, Id
from server.archive.schema import METADATA

uploads = Table(
    "uploads",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", String, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("file_expires_after", Integer),
    Column("status", String, nullable=False),  # pending, completed, cancelled; one that is pending too long has expired
    Column("file_id", String),  # no foreign key: the file may be deleted
    Column("part_ids", JSON, nullable=False),
    sqlite_autoincrement=True,
)

upload_parts = Table(
    "upload_parts",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("upload_key", Id, ForeignKey("uploads.key", ondelete="CASCADE"), nullable=False, index=True),
    Column("id", String, nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("complete", Boolean, nullable=False),  # False while it arrives, and where its writer has died
    sqlite_autoincrement=True,
)

upload_data = Table(
    "upload_data",
    METADATA,
    Column("part_key", Id, ForeignKey("upload_parts.key", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)
