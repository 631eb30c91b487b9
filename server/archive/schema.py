"""The archive's tables, in the knowledge base's database; their schema version is a row of its `facts` table. Those of uploads and
batches are in uploads/tables.py and batches/tables.py.

Rows are locked (`with_for_update`) in this order, which prevents deadlocks: responses, conversations. Keys grow with time, and lists
are ordered by them.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Index,
    Insert,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    Update,
    func,
    insert,
    select,
    update,
)

from retrieval.api import KnowledgeError
from retrieval.store.dialect import Transactions
from retrieval.store.schema import OWNER, Id, facts

SCHEMA_VERSION = 7  # raise it when these tables change, and migrate from the version before in prepare_schema
VERSION_FACT = "archive_schema"
ADVISORY_LOCK = 0x73746F63  # key of the lock that lets one process at a time create the tables

METADATA = MetaData()

responses = Table(
    "responses",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("previous", String),  # no foreign keys: the previous response and the conversation may be deleted
    Column("conversation", String),
    Column("body", JSON, nullable=False),
    Column("input", JSON, nullable=False),
    Column("worker", String),  # the worker that runs a background response
    Column("lease_until", Float),  # when another worker may take it over; null: never
    Index("responses_left", "lease_until"),
    sqlite_autoincrement=True,
)

response_events = Table(
    "response_events",
    METADATA,
    Column("response_key", Id, ForeignKey("responses.key", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("event", Text, nullable=False),
)

approval_requests = Table(  # kept when their responses are deleted; some belong to responses that were not stored
    "approval_requests",
    METADATA,
    Column("owner", OWNER, primary_key=True),
    Column("request", String, primary_key=True),
    Column("label", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", String(64), nullable=False),  # hex SHA-256
)

decisions = Table(  # answered approval requests; kept when their responses are deleted, or a request could be answered twice
    "decisions",
    METADATA,
    Column("owner", OWNER, primary_key=True),
    Column("request", String, primary_key=True),  # id of the approval request
)

conversations = Table(
    "conversations",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("metadata", JSON, nullable=False),
    sqlite_autoincrement=True,
)

conversation_items = Table(
    "conversation_items",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("conversation_key", Id, ForeignKey("conversations.key", ondelete="CASCADE"), nullable=False),
    Column("id", String, nullable=False),
    Column("body", JSON, nullable=False),
    Index("conversation_items_once", "conversation_key", "id", unique=True),
    Index("conversation_items_order", "conversation_key", "key"),
    sqlite_autoincrement=True,
)

completions = Table(
    "completions",
    METADATA,
    Column("key", Id, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("owner", OWNER, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("model", Text, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("body", JSON, nullable=False),
    Column("messages", JSON, nullable=False),
    Index("completions_order", "owner", "key"),
    sqlite_autoincrement=True,
)

completion_labels = Table(  # a copy of `metadata`, to filter by
    "completion_labels",
    METADATA,
    Column("completion_key", Id, ForeignKey("completions.key", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)


workers = Table(  # processes that share the database, each as long as it is alive
    "workers",
    METADATA,
    Column("name", String, primary_key=True),
    Column("beats", BigInteger, nullable=False),
)


tool_pins = Table(  # MCP servers' tools as they were trusted
    "tool_pins",
    METADATA,
    Column("label", Text, primary_key=True),  # of the MCP server
    Column("digests", JSON, nullable=False),  # tool name -> digest
)


def prepare_schema(transactions: Transactions) -> None:
    """Creates missing tables; safe to call from several processes at once. The versions since 1 only added tables (2 `decisions`, 3
    `approval_requests`, 4 those of uploads, 5 those of batches, 6 `workers`, 7 `tool_pins`), so creating them is the whole migration.
    Raises KnowledgeError if the stored version is newer than this one."""
    with transactions.writing() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))
        found = _stored_version(tx)
        if found is not None and found > SCHEMA_VERSION:
            known = f"this version of stoa knows {SCHEMA_VERSION}"
            raise KnowledgeError(f"the archive has schema {found}, {known}: it was written by a newer one")
        if found is None or found < SCHEMA_VERSION:
            METADATA.create_all(tx)
            tx.execute(_version_statement(found))


def _version_statement(found: int | None) -> Insert | Update:
    if found is None:
        return insert(facts).values(name=VERSION_FACT, value=str(SCHEMA_VERSION))
    return update(facts).where(facts.c.name == VERSION_FACT).values(value=str(SCHEMA_VERSION))


def _stored_version(tx: Connection) -> int | None:
    value = tx.execute(select(facts.c.value).where(facts.c.name == VERSION_FACT)).scalar_one_or_none()
    return None if value is None else int(value)
