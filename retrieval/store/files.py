"""Uploaded files, stored in rows of PART bytes."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from retrieval.api import DatabaseFault, NotFound, ReadOnly
from retrieval.records import File, NewFile, Page, PageRequest
from retrieval.store.api import AlsoWrite
from retrieval.store.dialect import Dialect
from retrieval.store.removal import remove_files
from retrieval.store.rows import ListOrder, alive_file, file_record, new_id, page, readable
from retrieval.store.schema import PART, file_parts, files, members


class FileTable:
    """Implements store.api.Files."""

    _dialect: Dialect
    _clock: Callable[[], float]

    def put_file(self, new: NewFile, content: Iterable[bytes], also: AlsoWrite | None = None) -> File:
        """Files larger than PART are written in one transaction per part, so that a slow upload does not block other writers.
        The file becomes visible with its last part."""
        file_id, begun = new_id("file-"), int(self._clock())
        digest, size, number = hashlib.sha256(), 0, 0
        try:
            for number, (part, last) in enumerate(in_rows(content)):
                digest.update(part)
                size += len(part)
                with self._dialect.writing() as tx:
                    if number == 0:
                        _begin(tx, file_id, new, begun)
                    tx.execute(insert(file_parts).values(file_id=file_id, number=number, data=part))
                    if last:
                        _finish(tx, file_id, size, digest.hexdigest())
                    if last and also is not None:
                        also(tx, file_id)
        except BaseException:
            if number == 0:  # one transaction, rolled back
                raise
            with suppress(DatabaseFault), self._dialect.removing() as tx:  # else `sweep` does it
                tx.execute(delete(files).where(files.c.id == file_id))
            raise
        return self.file(new.owner, file_id)

    def file(self, owner: str, file_id: str) -> File:
        with self._dialect.reading() as tx:
            return file_record(find_file(tx, owner, file_id, self._clock()))

    def find_file(self, owner: str, sha256: str, filename: str) -> File | None:
        same = (files.c.owner == owner, files.c.sha256 == sha256, files.c.filename == filename, alive_file(self._clock()))
        with self._dialect.reading() as tx:
            row = tx.execute(select(files).where(*same).order_by(files.c.created_at, files.c.id).limit(1)).mappings().one_or_none()
        return None if row is None else file_record(row)

    def files(self, owner: str, listing: PageRequest, purpose: str | None = None) -> Page[File]:
        query = select(files).where(alive_file(self._clock()))
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        order = ListOrder((files.c.created_at, files.c.id), files.c.id, readable(owner, files.c.owner), "file")
        with self._dialect.reading() as tx:
            found = page(tx, query, order, listing)
        return Page(items=tuple(map(file_record, found.items)), more=found.more)

    def read_file(self, owner: str, file_id: str) -> Iterator[bytes]:
        """Yields the parts. Raises NotFound at the call, or between parts if the file is removed meanwhile."""
        size = self.file(owner, file_id).bytes
        return (self._part(file_id, number) for number in range(-(-size // PART)))

    def delete_file(self, owner: str, file_id: str) -> None:
        with self._dialect.removing() as tx:
            mine = (files.c.id == file_id, files.c.owner == owner, alive_file(self._clock()))
            if tx.execute(select(files.c.id).where(*mine)).one_or_none() is None:
                raise ReadOnly("file", find_file(tx, owner, file_id, self._clock())["id"])
            remove_files(self._dialect, tx, [file_id])

    def delete_unused(self, owner: str, file_id: str) -> bool:
        with self._dialect.removing() as tx:
            mine = select(files.c.id).where(files.c.id == file_id, files.c.owner == owner)
            if tx.execute(mine.with_for_update()).one_or_none() is None:
                return False
            unused = ~select(members.c.key).where(members.c.file_id == file_id).exists()
            return tx.execute(delete(files).where(files.c.id == file_id, unused)).rowcount == 1

    def _part(self, file_id: str, number: int) -> bytes:
        with self._dialect.reading() as tx:
            part = (file_parts.c.file_id == file_id, file_parts.c.number == number)
            if (row := tx.execute(select(file_parts.c.data).where(*part)).one_or_none()) is None:
                raise NotFound("file", file_id)
            return row.data


def find_file(tx: Connection, owner: str, file_id: str, now: float) -> RowMapping:
    """The row of a file that `owner` may read. Raises NotFound."""
    visible = (files.c.id == file_id, readable(owner, files.c.owner), alive_file(now))
    if (row := tx.execute(select(files).where(*visible)).mappings().one_or_none()) is None:
        raise NotFound("file", file_id)
    return row


def in_rows(content: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Parts of PART bytes (the last may be shorter), each with whether it is the last. An empty file has one empty part."""
    held = bytearray()
    for piece in content:
        held += piece
        while len(held) > PART:
            yield bytes(held[:PART]), False
            del held[:PART]
    yield bytes(held), True


def _begin(tx: Connection, file_id: str, new: NewFile, begun: int) -> None:
    expires_at = None if new.expires_after is None else begun + new.expires_after
    fixed = {"id": file_id, "owner": new.owner, "filename": new.filename, "purpose": new.purpose, "created_at": begun}
    tx.execute(insert(files).values(**fixed, bytes=0, sha256="", expires_at=expires_at, complete=False))


def _finish(tx: Connection, file_id: str, size: int, sha256: str) -> None:
    tx.execute(update(files).where(files.c.id == file_id).values(bytes=size, sha256=sha256, complete=True))
