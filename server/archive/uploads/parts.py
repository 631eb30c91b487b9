"""Uploads in parts. A part is stored in rows of PART bytes, one transaction each, and counts once its last row is there."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress

from sqlalchemy import Connection, RowMapping, delete, func, insert, or_, select, update

from retrieval.api import Conflict, DatabaseFault, NotFound
from retrieval.store.api import AlsoWrite
from retrieval.store.dialect import Transactions
from retrieval.store.files import in_rows
from retrieval.store.rows import new_id
from server.archive.rows import fetch_row, owned
from server.archive.uploads.records import MAX_PARTS, NewUpload, UploadPartRecord, UploadRecord
from server.archive.uploads.tables import upload_data, upload_parts, uploads

SPARE_BYTES = 128 << 20  # of parts above twice the upload's size: clients send parts again whose answer was lost
GRACE_SECONDS = 600  # for a completion that began before the upload expired
KEPT_SECONDS = 7 * 86_400  # how long an upload is remembered after its time


class UploadTable:
    """Implements records.Uploads."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def create_upload(self, new: NewUpload) -> UploadRecord:
        upload_id, now = new_id("upload_"), int(self._clock())
        names = ("owner", "filename", "purpose", "bytes", "file_expires_after")
        values = {"id": upload_id, "created_at": now, "expires_at": now + new.lifetime, **{name: getattr(new, name) for name in names}}
        with self._transactions.writing() as tx:
            tx.execute(insert(uploads).values(**values, status="pending", part_ids=[]))
        return self.upload(new.owner, upload_id)

    def upload(self, owner: str, upload_id: str) -> UploadRecord:
        with self._transactions.reading() as tx:
            return self._record(fetch_row(tx, uploads, owner, upload_id, "upload"))

    def add_part(self, owner: str, upload_id: str, content: Iterable[bytes]) -> UploadPartRecord:
        part_id, key, size = new_id("part_"), None, 0
        try:
            for number, (data, last) in enumerate(in_rows(content)):
                size += len(data)
                with self._transactions.writing() as tx:
                    upload = self._lock_pending(tx, owner, upload_id)
                    key = _begin_part(tx, upload["key"], part_id, int(self._clock())) if key is None else key
                    tx.execute(insert(upload_data).values(part_key=key, number=number, data=data))
                    if last:
                        _finish_part(tx, upload, key, size)
        except BaseException:
            if key is not None:
                with suppress(DatabaseFault), self._transactions.removing() as tx:  # else with the upload
                    tx.execute(delete(upload_parts).where(upload_parts.c.key == key))
            raise
        return self.upload_parts(owner, upload_id, [part_id])[0]

    def upload_parts(self, owner: str, upload_id: str, part_ids: Sequence[str]) -> list[UploadPartRecord]:
        with self._transactions.reading() as tx:
            upload = fetch_row(tx, uploads, owner, upload_id, "upload")
            whole = (upload_parts.c.upload_key == upload["key"], upload_parts.c.complete)
            found = {row["id"]: row for row in tx.execute(select(upload_parts).where(*whole)).mappings()}
        if missing := [part_id for part_id in part_ids if part_id not in found]:
            raise NotFound("part of this upload", missing[0])
        rows = [found[part_id] for part_id in part_ids]
        return [UploadPartRecord(id=row["id"], upload_id=upload_id, created_at=row["created_at"], bytes=row["bytes"]) for row in rows]

    def read_part(self, part: UploadPartRecord) -> Iterator[bytes]:
        number, left = 0, part.bytes
        while left:
            data = self._data(part.id, number)
            yield data
            number, left = number + 1, left - len(data)

    def completing_upload(self, upload: UploadRecord, part_ids: Sequence[str]) -> AlsoWrite:
        def complete(tx: Connection, file_id: str) -> None:
            pending = (*owned(uploads, upload.owner, upload.id), uploads.c.status == "pending")
            done = {"status": "completed", "file_id": file_id, "part_ids": list(part_ids)}
            if tx.execute(update(uploads).where(*pending).values(**done)).rowcount == 0:
                raise Conflict(f"the upload {upload.id} has been completed or cancelled meanwhile")

        return complete

    def cancel_upload(self, owner: str, upload_id: str) -> UploadRecord:
        with self._transactions.removing() as tx:
            row = _lock(tx, owner, upload_id)
            if row["status"] != "cancelled":
                self._expect_pending(row)
            tx.execute(update(uploads).where(uploads.c.key == row["key"]).values(status="cancelled"))
            tx.execute(delete(upload_parts).where(upload_parts.c.upload_key == row["key"]))
        return self.upload(owner, upload_id)

    def remove_parts(self, upload_id: str) -> None:
        with self._transactions.removing() as tx:
            key = select(uploads.c.key).where(uploads.c.id == upload_id).scalar_subquery()
            tx.execute(delete(upload_parts).where(upload_parts.c.upload_key == key))

    def sweep_uploads(self) -> None:
        now = self._clock()
        ended = or_(uploads.c.status != "pending", uploads.c.expires_at <= now - GRACE_SECONDS)
        of_ended = select(upload_parts.c.key).join(uploads, upload_parts.c.upload_key == uploads.c.key).where(ended)
        with self._transactions.reading() as tx:
            parts = list(tx.execute(of_ended).scalars())
            forgotten = list(tx.execute(select(uploads.c.key).where(uploads.c.expires_at <= now - KEPT_SECONDS)).scalars())
        for key in parts:  # one by one: they are large, and others write meanwhile
            with self._transactions.removing() as tx:
                tx.execute(delete(upload_parts).where(upload_parts.c.key == key))
        for key in forgotten:
            with self._transactions.removing() as tx:
                tx.execute(delete(uploads).where(uploads.c.key == key))

    def _lock_pending(self, tx: Connection, owner: str, upload_id: str) -> RowMapping:
        row = _lock(tx, owner, upload_id)
        self._expect_pending(row)
        return row

    def _expect_pending(self, row: RowMapping) -> None:
        if (status := self._record(row).status) != "pending":
            raise Conflict(f"the upload {row['id']} is {status}, no more can be done with it")

    def _record(self, row: RowMapping) -> UploadRecord:
        names = ("id", "owner", "filename", "purpose", "bytes", "created_at", "expires_at", "file_expires_after", "file_id")
        expired = row["status"] == "pending" and row["expires_at"] <= self._clock()
        status = "expired" if expired else row["status"]
        return UploadRecord(**{name: row[name] for name in names}, status=status, part_ids=tuple(row["part_ids"]))

    def _data(self, part_id: str, number: int) -> bytes:
        query = select(upload_data.c.data).join(upload_parts, upload_data.c.part_key == upload_parts.c.key)
        with self._transactions.reading() as tx:
            found = tx.execute(query.where(upload_parts.c.id == part_id, upload_data.c.number == number)).scalar_one_or_none()
        if found is None:
            raise NotFound("part of this upload", part_id)
        return found


def _lock(tx: Connection, owner: str, upload_id: str) -> RowMapping:
    mine = select(uploads).where(*owned(uploads, owner, upload_id)).with_for_update()
    if (row := tx.execute(mine).mappings().one_or_none()) is None:
        raise NotFound("upload", upload_id)
    return row


def _begin_part(tx: Connection, upload_key: int, part_id: str, now: int) -> int:
    values = {"upload_key": upload_key, "id": part_id, "created_at": now, "bytes": 0, "complete": False}
    return tx.execute(insert(upload_parts).values(**values).returning(upload_parts.c.key)).scalar_one()


def _finish_part(tx: Connection, upload: RowMapping, key: int, size: int) -> None:
    whole = (upload_parts.c.upload_key == upload["key"], upload_parts.c.complete)
    parts, stored = tx.execute(select(func.count(), func.coalesce(func.sum(upload_parts.c.bytes), 0)).where(*whole)).one()
    if parts >= MAX_PARTS:
        raise Conflict(f"the upload {upload['id']} has {parts} parts, the most that one may have")
    if size > upload["bytes"]:
        raise Conflict(f"data: {size} bytes are more than the {upload['bytes']} that the upload was said to have")
    if stored + size > 2 * upload["bytes"] + SPARE_BYTES:
        raise Conflict(f"the parts of the upload {upload['id']} have {stored} bytes already, more than twice what it was said to have")
    tx.execute(update(upload_parts).where(upload_parts.c.key == key).values(bytes=size, complete=True))
