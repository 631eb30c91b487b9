"""Stored responses, and the events and worker leases of background responses."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import RowMapping, func, insert, or_, select, update

from retrieval.api import NotFound
from retrieval.store.dialect import Transactions
from server.archive.api import Json, Status, StoredResponse
from server.archive.conversations import append_if_exists
from server.archive.rows import delete_row, fetch_row, owned
from server.archive.schema import response_events, responses

INITIAL_LEASE_SECONDS = 60.0  # how long a background response that was just stored or claimed may wait for acquire_lease
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")
ENDED_ELSEWHERE: tuple[Status, ...] = ("cancelled", "failed")  # perhaps by another process than that which writes its events
NO_LEASE: dict[str, Any] = {"worker": None, "lease_until": None}
COLUMNS = ("id", "owner", "created_at", "status", "background", "previous", "conversation", "body", "input")


class ResponseTable:
    """Implements api.Responses."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def put_response(self, new: StoredResponse, items: Sequence[Json] = (), worker: str | None = None) -> None:
        values = {name: getattr(new, name) for name in COLUMNS}
        unfinished = new.background and new.status in UNFINISHED
        lease = {"worker": worker, "lease_until": self._clock() + INITIAL_LEASE_SECONDS} if unfinished else NO_LEASE
        with self._transactions.writing() as tx:
            tx.execute(insert(responses).values(**values, **lease))
            if new.conversation is not None:
                append_if_exists(tx, new.owner, new.conversation, items)

    def finish_response(self, owner: str, response_id: str, status: Status, body: Json, items: Sequence[Json] = ()) -> bool:
        unfinished = (*owned(responses, owner, response_id), responses.c.status.in_(UNFINISHED))
        values: dict[str, Any] = {"status": status, "body": body, **({} if status in UNFINISHED else NO_LEASE)}
        with self._transactions.writing() as tx:
            change = update(responses).where(*unfinished).values(**values).returning(responses.c.conversation)
            if (row := tx.execute(change).one_or_none()) is None:
                return False
            if items and row.conversation is not None:
                append_if_exists(tx, owner, row.conversation, items)
            return True

    def response(self, owner: str, response_id: str) -> StoredResponse:
        with self._transactions.reading() as tx:
            return _from_row(fetch_row(tx, responses, owner, response_id, "response"))

    def delete_response(self, owner: str, response_id: str) -> None:
        with self._transactions.removing() as tx:
            delete_row(tx, responses, owner, response_id, "response")

    def chain(self, owner: str, response_id: str) -> list[StoredResponse]:
        """Ordered by key: an earlier response has the lower one."""
        ancestors = select(responses.c.id, responses.c.previous).where(*owned(responses, owner, response_id)).cte("back", recursive=True)
        parents = select(responses.c.id, responses.c.previous).where(responses.c.id == ancestors.c.previous, responses.c.owner == owner)
        ancestors = ancestors.union(parents)
        with self._transactions.reading() as tx:
            query = select(responses).where(responses.c.id.in_(select(ancestors.c.id))).order_by(responses.c.key)
            found = [_from_row(row) for row in tx.execute(query).mappings()]
        missing = found[0].previous if found else response_id
        if missing is not None:
            raise NotFound("response", missing)
        return found

    def append_events(self, response_id: str, first: int, events: Sequence[str]) -> bool:
        with self._transactions.writing() as tx:
            locked = select(responses.c.key, responses.c.status).where(responses.c.id == response_id).with_for_update()
            if (row := tx.execute(locked).one_or_none()) is None:
                raise NotFound("response", response_id)
            if row.status in ENDED_ELSEWHERE:
                return False
            key = row.key
            last = tx.execute(select(func.max(response_events.c.number)).where(response_events.c.response_key == key)).scalar_one()
            new = [(number, event) for number, event in enumerate(events, first) if last is None or number > last]
            rows = [{"response_key": key, "number": number, "event": event} for number, event in new]
            if rows:
                tx.execute(insert(response_events), rows)
            return True

    def events(self, owner: str, response_id: str, after: int) -> list[tuple[int, str]]:
        with self._transactions.reading() as tx:
            key = fetch_row(tx, responses, owner, response_id, "response")["key"]
            later = (response_events.c.response_key == key, response_events.c.number > after)
            query = select(response_events.c.number, response_events.c.event).where(*later).order_by(response_events.c.number)
            return [(row.number, row.event) for row in tx.execute(query)]

    def claim_abandoned(self, worker: str) -> list[StoredResponse]:
        expired = (responses.c.lease_until < self._clock(), responses.c.status.in_(UNFINISHED))
        with self._transactions.reading() as tx:  # polled often: usually there is nothing, and no write transaction is needed
            if tx.execute(select(responses.c.key).where(*expired).limit(1)).one_or_none() is None:
                return []
        with self._transactions.writing() as tx:
            query = select(responses).where(*expired).order_by(responses.c.key).with_for_update(skip_locked=True)
            rows = tx.execute(query).mappings().all()
            claimed = update(responses).where(responses.c.key.in_([row["key"] for row in rows]))
            tx.execute(claimed.values(worker=worker, lease_until=self._clock() + INITIAL_LEASE_SECONDS))
            return [_from_row(row) for row in rows]

    def acquire_lease(self, response_id: str, worker: str, seconds: float) -> bool:
        now = self._clock()
        available = or_(responses.c.worker.is_(None), responses.c.worker == worker, responses.c.lease_until < now)
        leasable = (responses.c.id == response_id, responses.c.background, responses.c.status.in_(UNFINISHED), available)
        with self._transactions.writing() as tx:
            return tx.execute(update(responses).where(*leasable).values(worker=worker, lease_until=now + seconds)).rowcount == 1


def _from_row(row: RowMapping) -> StoredResponse:
    return StoredResponse(**{name: row[name] for name in COLUMNS})
