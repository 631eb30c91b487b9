"""The archive's tables, in the database of the knowledge base, with a schema number of their own among its `facts`.

Rows are held (`with_for_update`) in one order: responses, conversations. Keys rise with time: lists are ordered by them.
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

SCHEMA = 3  # raise when these tables change, and say in `prepare` how to get there from the number before
NAME = "archive_schema"
PREPARING = 0x73746F63  # advisory lock: one process creates the tables

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
    Column("previous", String),  # ids without a foreign key: what they name may be deleted
    Column("conversation", String),
    Column("body", JSON, nullable=False),
    Column("input", JSON, nullable=False),
    Column("worker", String),  # who is at it, in the background
    Column("lease_until", Float),  # and until when nobody else may be; null: nobody has to be
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

approval_requests = Table(  # what was asked; they outlive their responses, and some are of answers that nobody keeps
    "approval_requests",
    METADATA,
    Column("owner", OWNER, primary_key=True),
    Column("request", String, primary_key=True),
    Column("label", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("arguments", String(64), nullable=False),  # hex SHA-256
)

decisions = Table(  # approvals that have been answered; they outlive their responses, or one could be answered again
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

completion_labels = Table(  # `metadata` once more, to be searched by
    "completion_labels",
    METADATA,
    Column("completion_key", Id, ForeignKey("completions.key", ondelete="CASCADE"), primary_key=True),
    Column("name", String, primary_key=True),
    Column("value", Text, nullable=False),
)


def prepare(transactions: Transactions) -> None:
    """Creates what is missing, once among many processes. Raises KnowledgeError: newer than this program. Schemas 2 and 3 have only
    one table more than the one before (`decisions`, `approval_requests`); one that changes a table brings its way from here with it,
    in this place."""
    with transactions.writing() as tx:
        if tx.dialect.name == "postgresql":
            tx.execute(select(func.pg_advisory_xact_lock(PREPARING)))
        found = _found(tx)
        if found is not None and found > SCHEMA:
            raise KnowledgeError(f"the archive has schema {found}, this version of stoa knows {SCHEMA}: it was written by a newer one")
        if found is None or found < SCHEMA:
            METADATA.create_all(tx)
            tx.execute(_known(found))


def _known(found: int | None) -> Insert | Update:
    if found is None:
        return insert(facts).values(name=NAME, value=str(SCHEMA))
    return update(facts).where(facts.c.name == NAME).values(value=str(SCHEMA))


def _found(tx: Connection) -> int | None:
    value = tx.execute(select(facts.c.value).where(facts.c.name == NAME)).scalar_one_or_none()
    return None if value is None else int(value)
