"""Batches, their states and leases. Their lines: lines.py."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, delete, func, insert, or_, select, update

from retrieval.api import Conflict, NotFound
from retrieval.records import Page, PageRequest
from retrieval.store.api import AlsoWrite
from retrieval.store.dialect import Transactions
from retrieval.store.rows import ListOrder, new_id, page
from server.archive.batches.records import (
    UNFINISHED,
    BatchEnd,
    BatchRecord,
    BatchStatus,
    LeaseLost,
    NewBatch,
    OutputKind,
    TokenUsage,
)
from server.archive.batches.tables import batch_jobs, batch_lines
from server.archive.rows import fetch_row, owned

FREE: dict[str, Any] = {"worker": None, "lease_until": None}
ZERO = dict.fromkeys(("total", "completed", "failed", "input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens"), 0)
ENDED = "the batch {} is {}: it cannot be cancelled any more"


class BatchTable:
    """Implements records.Batches, but for what concerns lines."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def create_batch(self, new: NewBatch) -> BatchRecord:
        batch_id, now = new_id("batch_"), int(self._clock())
        names = ("owner", "endpoint", "input_file_id", "completion_window", "metadata", "output_expires_after")
        given = {name: getattr(new, name) for name in names}
        fresh: dict[str, Any] = {"created_at": now, "expires_at": now + new.lifetime, "status": "validating", "times": {}, "errors": []}
        with self._transactions.writing() as tx:
            tx.execute(insert(batch_jobs).values(id=batch_id, **given, **fresh, **ZERO))
        return self.batch(new.owner, batch_id)

    def batch(self, owner: str, batch_id: str) -> BatchRecord:
        with self._transactions.reading() as tx:
            return _record(fetch_row(tx, batch_jobs, owner, batch_id, "batch"))

    def batches(self, owner: str, listing: PageRequest) -> Page[BatchRecord]:
        order = ListOrder((batch_jobs.c.key,), batch_jobs.c.id, batch_jobs.c.owner == owner, "batch")
        with self._transactions.reading() as tx:
            found = page(tx, select(batch_jobs), order, listing)
        return Page(items=tuple(map(_record, found.items)), more=found.more)

    def cancel_batch(self, owner: str, batch_id: str) -> BatchRecord:
        with self._transactions.removing() as tx:
            mine = select(batch_jobs).where(*owned(batch_jobs, owner, batch_id)).with_for_update()
            if (row := tx.execute(mine).mappings().one_or_none()) is None:
                raise NotFound("batch", batch_id)
            if row["status"] in ("validating", "in_progress"):
                self._set_status(tx, row, "cancelling")
            elif row["status"] not in ("cancelling", "cancelled"):
                raise Conflict(ENDED.format(batch_id, row["status"]))
        return self.batch(owner, batch_id)

    def batch_backlog(self) -> dict[BatchStatus, int]:
        counted = select(batch_jobs.c.status, func.count()).where(batch_jobs.c.status.in_(UNFINISHED)).group_by(batch_jobs.c.status)
        with self._transactions.reading() as tx:
            return dict.fromkeys(UNFINISHED, 0) | {row[0]: row[1] for row in tx.execute(counted)}

    def claim_batch(self, worker: str, seconds: float, busy_owners: Collection[str] = ()) -> BatchRecord | None:
        now = self._clock()
        wanted = _claimable(now, busy_owners)
        with self._transactions.reading() as tx:  # polled: usually there is nothing, and no writer is kept waiting
            if tx.execute(select(batch_jobs.c.key).where(or_(*wanted)).limit(1)).one_or_none() is None:
                return None
        with self._transactions.writing() as tx:
            for condition in wanted:
                query = select(batch_jobs).where(condition).order_by(batch_jobs.c.key).limit(1).with_for_update(skip_locked=True)
                if (row := tx.execute(query).mappings().one_or_none()) is not None:
                    lease = {"worker": worker, "lease_until": now + seconds}
                    tx.execute(update(batch_jobs).where(batch_jobs.c.key == row["key"]).values(**lease))
                    return _record(row)
        return None

    def renew_batch(self, batch_id: str, worker: str, seconds: float) -> BatchStatus:
        with self._transactions.writing() as tx:
            row = held(tx, batch_id, worker)
            tx.execute(update(batch_jobs).where(batch_jobs.c.key == row["key"]).values(lease_until=self._clock() + seconds))
            return row["status"]

    def release_batch(self, batch_id: str, worker: str, unanswered: Sequence[int] = ()) -> None:
        with self._transactions.writing() as tx:
            row = held(tx, batch_id, worker)
            taken = (batch_lines.c.batch_key == row["key"], batch_lines.c.number.in_(unanswered), batch_lines.c.succeeded.is_(None))
            if unanswered:
                tx.execute(update(batch_lines).where(*taken).values(attempts=batch_lines.c.attempts - 1))
            tx.execute(update(batch_jobs).where(batch_jobs.c.key == row["key"]).values(**FREE))

    def accept_batch(self, batch_id: str, worker: str, model: str | None) -> BatchRecord:
        with self._transactions.writing() as tx:
            row = held(tx, batch_id, worker, "validating")
            total = tx.execute(select(func.count()).where(batch_lines.c.batch_key == row["key"])).scalar_one()
            self._set_status(tx, row, "in_progress", model=model, total=total, **FREE)
        return self.batch(row["owner"], batch_id)

    def refuse_batch(self, batch_id: str, worker: str, errors: Sequence[dict[str, Any]]) -> None:
        with self._transactions.removing() as tx:
            row = held(tx, batch_id, worker, "validating")
            tx.execute(delete(batch_lines).where(batch_lines.c.batch_key == row["key"]))
            self._set_status(tx, row, "failed", errors=list(errors), **FREE)

    def finalize_batch(self, batch_id: str, worker: str) -> None:
        with self._transactions.writing() as tx:
            self._set_status(tx, held(tx, batch_id, worker, "in_progress"), "finalizing")

    def writing_output(self, batch_id: str, worker: str, kind: OutputKind) -> AlsoWrite:
        column = "output_file_id" if kind == "output" else "error_file_id"

        def note(tx: Connection, file_id: str) -> None:
            row = held(tx, batch_id, worker)
            if row[column] is not None:
                raise LeaseLost(batch_id)
            tx.execute(update(batch_jobs).where(batch_jobs.c.key == row["key"]).values(**{column: file_id}))

        return note

    def end_batch(self, batch_id: str, worker: str, status: BatchEnd) -> None:
        with self._transactions.removing() as tx:
            row = held(tx, batch_id, worker)
            tx.execute(delete(batch_lines).where(batch_lines.c.batch_key == row["key"]))
            self._set_status(tx, row, status, failed=row["total"] - row["completed"], **FREE)

    def _set_status(self, tx: Connection, row: RowMapping, status: BatchStatus, **values: Any) -> None:
        times = {**row["times"], status: int(self._clock())}
        tx.execute(update(batch_jobs).where(batch_jobs.c.key == row["key"]).values(status=status, times=times, **values))


def held(tx: Connection, batch_id: str, worker: str, status: BatchStatus | None = None) -> RowMapping:
    """The row of a batch that `worker` has leased, locked. Raises LeaseLost, also for another status than the wanted one."""
    mine = (batch_jobs.c.id == batch_id, batch_jobs.c.worker == worker, batch_jobs.c.status.in_([status] if status else UNFINISHED))
    if (row := tx.execute(select(batch_jobs).where(*mine).with_for_update()).mappings().one_or_none()) is None:
        raise LeaseLost(batch_id)
    return row


def _claimable(now: float, busy_owners: Collection[str]) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """What needs no model, and what needs one."""
    table = batch_jobs.c
    free = or_(table.worker.is_(None), table.lease_until < now)
    short = or_(table.status.in_(("validating", "finalizing", "cancelling")), and_(table.status == "in_progress", table.expires_at <= now))
    return and_(free, short), and_(free, table.status == "in_progress", table.owner.not_in(sorted(busy_owners)))


def _record(row: RowMapping) -> BatchRecord:
    names = ("id", "owner", "endpoint", "input_file_id", "completion_window", "metadata", "output_expires_after", "created_at")
    more = ("expires_at", "status", "times", "errors", "model", "total", "completed", "failed", "output_file_id", "error_file_id")
    usage = TokenUsage(
        input=row["input_tokens"], cached=row["cached_tokens"], output=row["output_tokens"], reasoning=row["reasoning_tokens"]
    )
    return BatchRecord(**{name: row[name] for name in (*names, *more)}, usage=usage)
