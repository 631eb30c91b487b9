"""Responses: kept, finished once, looked up with what they go back to; those in the background with their events and a lease."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from retrieval.api import NotFound
from retrieval.store.dialect import Transactions
from server.archive.api import Asked, Json, Status, StoredResponse
from server.archive.conversations import append_if_there
from server.archive.schema import approval_requests, decisions, response_events, responses

GRACE = 60.0  # seconds for whoever stored a response in the background, or took it over, to begin with it
UNFINISHED: tuple[Status, ...] = ("queued", "in_progress")
FREE: dict[str, Any] = {"worker": None, "lease_until": None}


class ResponseTable:
    """Implements api.Responses."""

    _transactions: Transactions
    _clock: Callable[[], float]

    def put_response(self, new: StoredResponse, items: Sequence[Json] = ()) -> None:
        names = ("id", "owner", "created_at", "status", "background", "previous", "conversation", "body", "input")
        values = {name: getattr(new, name) for name in names}
        lease = self._clock() + GRACE if new.background and new.status in UNFINISHED else None
        with self._transactions.writing() as tx:
            tx.execute(insert(responses).values(**values, lease_until=lease))
            if new.conversation is not None:
                append_if_there(tx, new.owner, new.conversation, items)

    def finish_response(self, owner: str, response_id: str, status: Status, body: Json, items: Sequence[Json] = ()) -> bool:
        mine = (responses.c.id == response_id, responses.c.owner == owner, responses.c.status.in_(UNFINISHED))
        values: dict[str, Any] = {"status": status, "body": body, **({} if status in UNFINISHED else FREE)}
        with self._transactions.writing() as tx:
            done = update(responses).where(*mine).values(**values).returning(responses.c.conversation)
            if (row := tx.execute(done).one_or_none()) is None:
                return False
            if items and row.conversation is not None:
                append_if_there(tx, owner, row.conversation, items)
            return True

    def response(self, owner: str, response_id: str) -> StoredResponse:
        with self._transactions.reading() as tx:
            return _record(_find(tx, owner, response_id))

    def delete_response(self, owner: str, response_id: str) -> None:
        with self._transactions.writing() as tx:
            gone = delete(responses).where(responses.c.id == response_id, responses.c.owner == owner)
            if tx.execute(gone).rowcount == 0:
                raise NotFound("response", response_id)

    def chain(self, owner: str, response_id: str) -> list[StoredResponse]:
        """What is earlier in a chain has the lower key."""
        first = select(responses.c.id, responses.c.previous).where(responses.c.id == response_id, responses.c.owner == owner)
        back = first.cte("back", recursive=True)
        earlier = select(responses.c.id, responses.c.previous).where(responses.c.id == back.c.previous, responses.c.owner == owner)
        back = back.union(earlier)
        with self._transactions.reading() as tx:
            query = select(responses).where(responses.c.id.in_(select(back.c.id))).order_by(responses.c.key)
            found = [_record(row) for row in tx.execute(query).mappings()]
        missing = found[0].previous if found else response_id
        if missing is not None:
            raise NotFound("response", missing)
        return found

    def append_events(self, response_id: str, first: int, events: Sequence[str]) -> None:
        with self._transactions.writing() as tx:
            held = select(responses.c.key, responses.c.status).where(responses.c.id == response_id).with_for_update()
            if (row := tx.execute(held).one_or_none()) is None:
                raise NotFound("response", response_id)
            if row.status == "cancelled":
                return
            key = row.key
            last = tx.execute(select(func.max(response_events.c.number)).where(response_events.c.response_key == key)).scalar_one()
            fresh = [(number, event) for number, event in enumerate(events, first) if last is None or number > last]
            rows = [{"response_key": key, "number": number, "event": event} for number, event in fresh]
            if rows:
                tx.execute(insert(response_events), rows)

    def events(self, owner: str, response_id: str, after: int) -> list[tuple[int, str]]:
        with self._transactions.reading() as tx:
            key = _find(tx, owner, response_id)["key"]
            later = (response_events.c.response_key == key, response_events.c.number > after)
            query = select(response_events.c.number, response_events.c.event).where(*later).order_by(response_events.c.number)
            return [(row.number, row.event) for row in tx.execute(query)]

    def abandoned(self, worker: str) -> list[StoredResponse]:
        left = (responses.c.lease_until < self._clock(), responses.c.status.in_(UNFINISHED))
        with self._transactions.reading() as tx:  # asked all the time: no writer waits for a no
            if tx.execute(select(responses.c.key).where(*left).limit(1)).one_or_none() is None:
                return []
        with self._transactions.writing() as tx:
            query = select(responses).where(*left).order_by(responses.c.key).with_for_update(skip_locked=True)
            rows = tx.execute(query).mappings().all()
            mine = update(responses).where(responses.c.key.in_([row["key"] for row in rows]))
            tx.execute(mine.values(worker=worker, lease_until=self._clock() + GRACE))
            return [_record(row) for row in rows]

    def lease(self, response_id: str, worker: str, seconds: float) -> bool:
        now = self._clock()
        free = or_(responses.c.worker.is_(None), responses.c.worker == worker, responses.c.lease_until < now)
        mine = (responses.c.id == response_id, responses.c.background, responses.c.status.in_(UNFINISHED), free)
        with self._transactions.writing() as tx:
            return tx.execute(update(responses).where(*mine).values(worker=worker, lease_until=now + seconds)).rowcount == 1

    def ask(self, owner: str, asked: Asked) -> None:
        values = {"request": asked.request, "label": asked.label, "name": asked.name, "arguments": asked.arguments}
        with self._transactions.writing() as tx:
            tx.execute(insert(approval_requests).values(owner=owner, **values))

    def asked(self, owner: str, requests: Sequence[str]) -> dict[str, Asked]:
        table = approval_requests.c
        query = select(table.request, table.label, table.name, table.arguments)
        with self._transactions.reading() as tx:
            rows = tx.execute(query.where(table.owner == owner, table.request.in_(requests))).mappings()
            return {row["request"]: Asked(**row) for row in rows}

    def decide(self, owner: str, requests: Sequence[str]) -> set[str]:
        """Of two that answer at once the database lets one through."""
        if not requests:
            return set()
        try:
            with self._transactions.writing() as tx:
                tx.execute(insert(decisions), [{"owner": owner, "request": request} for request in set(requests)])
        except IntegrityError:
            answered = select(decisions.c.request).where(decisions.c.owner == owner, decisions.c.request.in_(requests))
            with self._transactions.reading() as tx:
                return set(tx.execute(answered).scalars())
        return set()


def _find(tx: Connection, owner: str, response_id: str) -> RowMapping:
    mine: tuple[ColumnElement[bool], ...] = (responses.c.id == response_id, responses.c.owner == owner)
    if (row := tx.execute(select(responses).where(*mine)).mappings().one_or_none()) is None:
        raise NotFound("response", response_id)
    return row


def _record(row: RowMapping) -> StoredResponse:
    names = ("id", "owner", "created_at", "status", "background", "previous", "conversation", "body", "input")
    return StoredResponse(**{name: row[name] for name in names})
