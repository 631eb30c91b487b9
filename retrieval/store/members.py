"""Members (files in vector stores), their batches and their ingestion state."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, insert, select, update

from retrieval.api import Attributes, Chunk, Conflict, NotFound
from retrieval.records import Batch, Member, NewMember, Page, PageRequest, State
from retrieval.store.dialect import Dialect
from retrieval.store.removal import remove_members
from retrieval.store.rows import (
    CHUNKS,
    IN_PROGRESS,
    MEMBERS,
    ListOrder,
    alive_file,
    alive_store,
    chunk_record,
    chunking_of,
    member_record,
    new_id,
    page,
    readable,
)
from retrieval.store.schema import batches, chunks, documents, files, members, pictures, stores
from retrieval.store.stores import find_store, member_stats, own_store

QUEUED = {"state": "queued", "progress": 0.0, "error_code": None, "error": None, "attempts": 0, "worker": None, "lease_until": None}


class MemberTable:
    """Implements store.api.Members."""

    _dialect: Dialect
    _clock: Callable[[], float]

    def add_members(self, owner: str, store_id: str, new: Sequence[NewMember], *, batch: bool = False) -> tuple[list[Member], Batch | None]:
        now = int(self._clock())
        wanted = {member.file_id: member for member in new}  # of duplicate file ids the last wins
        with self._dialect.writing() as tx:
            _check_files(tx, owner, list(wanted), now)
            key = self._open_store(tx, owner, store_id)
            batch_id = _begin_batch(tx, key, now) if batch else None
            known = {row["file_id"]: row for row in _rows(tx, key, list(wanted))}
            fresh = [_new_row(key, member, batch_id, now) for id, member in wanted.items() if id not in known]
            if fresh:
                tx.execute(insert(members), fresh)
            for file_id, row in known.items():
                tx.execute(
                    update(members).where(members.c.key == row["key"]).values(**_changes_when_added_again(row, wanted[file_id], batch_id))
                )
            found = {row["file_id"]: member_record(row) for row in _rows(tx, key, list(wanted))}
            return [found[file_id] for file_id in wanted], None if batch_id is None else _batch(tx, key, store_id, batch_id)

    def member(self, owner: str, store_id: str, file_id: str) -> Member:
        with self._dialect.reading() as tx:
            return member_record(_member(tx, find_store(tx, owner, store_id)["key"], file_id))

    def members(
        self, owner: str, store_id: str, listing: PageRequest, *, states: Sequence[State] = (), batch_id: str | None = None
    ) -> Page[Member]:
        query = MEMBERS.where(members.c.state.in_(states)) if states else MEMBERS
        with self._dialect.reading() as tx:
            key = find_store(tx, owner, store_id)["key"]
            if batch_id is not None:
                _batch(tx, key, store_id, batch_id)
                query = query.where(members.c.batch_id == batch_id)
            order = ListOrder((members.c.key,), members.c.file_id, members.c.store_key == key, "file of this vector store")
            found = page(tx, query, order, listing)
        return Page(items=tuple(map(member_record, found.items)), more=found.more)

    def sources(self, store_id: str) -> dict[str, Member]:
        query = MEMBERS.where(stores.c.id == store_id, members.c.source.is_not(None)).order_by(members.c.key)
        with self._dialect.reading() as tx:
            return {row["source"]: member_record(row) for row in tx.execute(query).mappings()}

    def change_member(self, owner: str, store_id: str, file_id: str, attributes: Attributes) -> Member:
        with self._dialect.writing() as tx:
            key = own_store(tx, owner, store_id)["key"]
            row = _member(tx, key, file_id)
            tx.execute(update(members).where(members.c.key == row["key"]).values(attributes=attributes))
            return member_record(_member(tx, key, file_id))

    def remove_member(self, owner: str, store_id: str, file_id: str) -> None:
        with self._dialect.removing() as tx:
            key = own_store(tx, owner, store_id)["key"]
            remove_members(self._dialect, tx, [(key, _member(tx, key, file_id)["key"])])

    def batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        with self._dialect.reading() as tx:
            return _batch(tx, find_store(tx, owner, store_id)["key"], store_id, batch_id)

    def cancel_batch(self, owner: str, store_id: str, batch_id: str) -> Batch:
        """Chunks from an earlier ingestion of a member stay searchable. A finished batch is left unchanged."""
        with self._dialect.removing() as tx:
            key = own_store(tx, owner, store_id)["key"]
            _batch(tx, key, store_id, batch_id)
            undone = (members.c.store_key == key, members.c.batch_id == batch_id, members.c.state.in_(IN_PROGRESS))
            if tx.execute(update(members).where(*undone).values(state="cancelled", worker=None, lease_until=None)).rowcount:
                tx.execute(update(batches).where(batches.c.id == batch_id).values(cancelled=True))
            return _batch(tx, key, store_id, batch_id)

    def chunks_of(self, owner: str, store_id: str, file_id: str) -> list[Chunk]:
        with self._dialect.reading() as tx:
            member = _member(tx, find_store(tx, owner, store_id)["key"], file_id)
            query = CHUNKS.where(chunks.c.member_key == member["key"]).order_by(chunks.c.ordinal)
            return [chunk_record(row) for row in tx.execute(query).mappings()]

    def chunk(self, owner: str, store_id: str, chunk_id: int) -> Chunk:
        with self._dialect.reading() as tx:
            key = find_store(tx, owner, store_id)["key"]
            query = CHUNKS.where(chunks.c.id == chunk_id, chunks.c.store_key == key)
            if (row := tx.execute(query).mappings().one_or_none()) is None:
                raise NotFound("chunk", str(chunk_id))
            return chunk_record(row)

    def picture(self, owner: str, store_id: str, chunk_id: int) -> tuple[str, bytes]:
        with self._dialect.reading() as tx:
            key = find_store(tx, owner, store_id)["key"]
            query = select(chunks.c.picture, pictures.c.data).join_from(chunks, pictures, pictures.c.chunk_id == chunks.c.id)
            if (row := tx.execute(query.where(chunks.c.id == chunk_id, chunks.c.store_key == key)).one_or_none()) is None:
                raise NotFound("picture", str(chunk_id))
            return row.picture, row.data

    def text_of(self, owner: str, store_id: str, file_id: str) -> str:
        with self._dialect.reading() as tx:
            member = _member(tx, find_store(tx, owner, store_id)["key"], file_id)
            text = tx.execute(select(documents.c.text).where(documents.c.member_key == member["key"])).scalar_one_or_none()
        if text is None:
            raise Conflict(f"the text of {member['filename']!r} is not there: the file is {member['state']}")
        return text

    def _open_store(self, tx: Connection, owner: str, store_id: str) -> int:
        row = own_store(tx, owner, store_id)
        if tx.execute(select(stores.c.key).where(stores.c.key == row["key"], alive_store(self._clock()))).one_or_none() is None:
            raise Conflict(f"the vector store {store_id!r} has expired")
        return row["key"]


def _check_files(tx: Connection, owner: str, file_ids: list[str], now: float) -> None:
    """Locks the files against removal until the transaction ends. Raises NotFound."""
    visible = select(files.c.id).where(files.c.id.in_(file_ids), readable(owner, files.c.owner), alive_file(now))
    there = set(tx.execute(visible.order_by(files.c.id).with_for_update(read=True, key_share=True)).scalars())
    if missing := [file_id for file_id in file_ids if file_id not in there]:
        raise NotFound("file", missing[0])


def _begin_batch(tx: Connection, key: int, now: int) -> str:
    batch_id = new_id("vsfb_")
    tx.execute(insert(batches).values(id=batch_id, store_key=key, created_at=now, cancelled=False))
    return batch_id


def _new_row(key: int, member: NewMember, batch_id: str | None, now: int) -> dict[str, Any]:
    size = {"chunk_size": member.chunking.size, "chunk_overlap": member.chunking.overlap}
    given = {"file_id": member.file_id, "attributes": member.attributes, "source": member.source, **size}
    return {"store_key": key, "batch_id": batch_id, "notes": [], "usage_bytes": 0, "created_at": now, **given, **QUEUED}


def _changes_when_added_again(row: RowMapping, member: NewMember, batch_id: str | None) -> dict[str, Any]:
    """Column values to update when a file already in the store is added again."""
    values: dict[str, Any] = {"attributes": member.attributes}
    if batch_id is not None:
        values["batch_id"] = batch_id
    if member.source is not None:
        values["source"] = member.source
    if chunking_of(row) != member.chunking:
        return {**values, **QUEUED, "chunk_size": member.chunking.size, "chunk_overlap": member.chunking.overlap}
    return {**values, **QUEUED} if row["state"] in ("failed", "cancelled") else values


def _rows(tx: Connection, key: int, file_ids: list[str]) -> list[RowMapping]:
    return list(tx.execute(MEMBERS.where(members.c.store_key == key, members.c.file_id.in_(file_ids))).mappings())


def _member(tx: Connection, key: int, file_id: str) -> RowMapping:
    query = MEMBERS.where(members.c.store_key == key, members.c.file_id == file_id)
    if (row := tx.execute(query).mappings().one_or_none()) is None:
        raise NotFound("file of this vector store", file_id)
    return row


def _batch(tx: Connection, key: int, store_id: str, batch_id: str) -> Batch:
    query = select(batches).where(batches.c.id == batch_id, batches.c.store_key == key)
    if (row := tx.execute(query).mappings().one_or_none()) is None:
        raise NotFound("file batch", batch_id)
    counts = member_stats(tx, members.c.batch_id, [batch_id])[batch_id].counts
    return Batch(id=batch_id, store_id=store_id, created_at=row["created_at"], cancelled=row["cancelled"], counts=counts)
