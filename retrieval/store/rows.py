"""Shared by the parts of the catalogue: visibility conditions, pagination, conversion of rows to records."""

import hashlib
import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, RowMapping, Select, and_, false, or_, select

from retrieval.api import Chunk, Chunking, ModelIdentity, NotFound, ResourceKind
from retrieval.records import Counts, File, Member, Page, PageRequest, VectorStore
from retrieval.store.schema import chunks, files, members, stores

IN_PROGRESS = ("queued", "parsing", "embedding")


def new_id(prefix: str) -> str:
    """Unguessable; ids sort by creation time."""
    return f"{prefix}{time.time_ns():016x}{secrets.token_hex(12)}"


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def readable(owner: str, column: ColumnElement[str]) -> ColumnElement[bool]:
    return column.in_(sorted({owner, ""}))


def alive_file(now: float) -> ColumnElement[bool]:
    return and_(files.c.complete, or_(files.c.expires_at.is_(None), files.c.expires_at > now))


def alive_store(now: float) -> ColumnElement[bool]:
    days = stores.c.expires_after_days
    return or_(days.is_(None), stores.c.last_active_at + 86_400 * days > now)


# pagination


@dataclass(frozen=True)
class ListOrder:
    """`columns`: sort key. `id`: column that the cursors `after` and `before` refer to, among rows that satisfy `scope`."""

    columns: tuple[ColumnElement[Any], ...]
    id: ColumnElement[str]
    scope: ColumnElement[bool]
    what: ResourceKind


def page(tx: Connection, query: Select[Any], order: ListOrder, listing: PageRequest) -> Page[RowMapping]:
    """With `before` alone: the page that ends directly before it. Raises NotFound for an unknown cursor."""
    backwards = listing.before is not None and listing.after is None
    rising = (listing.order == "asc") != backwards
    if listing.after is not None:
        query = query.where(_behind(order, _cursor_row(tx, order, listing.after), listing.order == "asc"))
    if listing.before is not None:
        query = query.where(_behind(order, _cursor_row(tx, order, listing.before), listing.order == "desc"))
    columns = [column.asc() if rising else column.desc() for column in order.columns]
    rows = tx.execute(query.where(order.scope).order_by(*columns).limit(listing.limit + 1)).mappings().all()
    items = rows[: listing.limit]
    return Page(items=tuple(reversed(items) if backwards else items), more=len(rows) > listing.limit)


def _cursor_row(tx: Connection, order: ListOrder, id: str) -> Row[Any]:
    if (row := tx.execute(select(*order.columns).where(order.scope, order.id == id)).one_or_none()) is None:
        raise NotFound(order.what, id)
    return row


def _behind(order: ListOrder, place: Row[Any], greater: bool) -> ColumnElement[bool]:
    condition: ColumnElement[bool] = false()
    for column, value in reversed(list(zip(order.columns, place, strict=True))):
        condition = or_(column > value if greater else column < value, and_(column == value, condition))
    return condition


# rows as records


def file_record(row: RowMapping) -> File:
    names = ("id", "owner", "filename", "purpose", "bytes", "sha256", "created_at", "expires_at")
    return File(**{name: row[name] for name in names})


@dataclass(frozen=True)
class MemberStats:
    """Number of members of a store or batch by state, and their total size in bytes."""

    states: dict[str, int]
    usage_bytes: int = 0

    @property
    def counts(self) -> Counts:
        running = sum(self.states.get(state, 0) for state in IN_PROGRESS)
        of = self.states.get
        return Counts(in_progress=running, completed=of("ready", 0), failed=of("failed", 0), cancelled=of("cancelled", 0))


def store_record(row: RowMapping, tally: MemberStats) -> VectorStore:
    names = ("id", "owner", "name", "description", "metadata", "created_at", "last_active_at", "expires_after_days")
    same = {name: row[name] for name in names}
    return VectorStore(**same, identity=identity_record(row["identity"]), usage_bytes=tally.usage_bytes, counts=tally.counts)


def identity_record(value: dict[str, Any] | None) -> ModelIdentity | None:
    return None if value is None else ModelIdentity(**value)


MEMBERS = (
    select(members, stores.c.id.label("store_id"), files.c.filename, files.c.sha256, files.c.bytes, files.c.owner)
    .join_from(members, stores, members.c.store_key == stores.c.key)
    .join(files, members.c.file_id == files.c.id)
)


def member_record(row: RowMapping) -> Member:
    names = ("store_id", "file_id", "filename", "sha256", "state", "progress", "error_code", "error", "attributes", "usage_bytes")
    same = {name: row[name] for name in (*names, "created_at", "batch_id", "source")}
    return Member(**same, notes=tuple(row["notes"]), chunking=chunking_of(row))


def chunking_of(row: RowMapping) -> Chunking:
    return Chunking(size=row["chunk_size"], overlap=row["chunk_overlap"])


CHUNKS = (
    select(chunks, stores.c.id.label("store_id"), members.c.file_id, members.c.attributes, files.c.filename)
    .join_from(chunks, members, chunks.c.member_key == members.c.key)
    .join(stores, members.c.store_key == stores.c.key)
    .join(files, members.c.file_id == files.c.id)
)


def chunk_record(row: RowMapping) -> Chunk:
    names = ("id", "store_id", "file_id", "filename", "ordinal", "text", "start", "end", "page", "start_seconds", "end_seconds", "picture")
    return Chunk(**{name: row[name] for name in names}, headings=tuple(row["headings"]))
