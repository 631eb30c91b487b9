"""Which processes are alive that work on what is in the database, and what the dead ones have left."""

from collections.abc import Collection, Mapping

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, or_, select, text, update

from retrieval.store.dialect import Transactions
from retrieval.store.queue import CLAIMED
from retrieval.store.schema import members
from server.archive.batches.records import UNFINISHED as UNFINISHED_BATCHES
from server.archive.batches.tables import batch_jobs
from server.archive.responses import UNFINISHED as UNFINISHED_RESPONSES
from server.archive.schema import responses, workers

EXPIRED = 0.0  # a lease that ended long ago
LOSE_LAST_BEATS = text("SET LOCAL synchronous_commit = off")  # a beat need not outlast a crash, and waits for no disk


class WorkerTable:
    """Implements api.Workers."""

    _transactions: Transactions

    def beat(self, names: Collection[str]) -> Mapping[str, int]:
        with self._transactions.writing() as tx:
            if tx.dialect.name == "postgresql":
                tx.execute(LOSE_LAST_BEATS)
            mine = update(workers).where(workers.c.name.in_(names)).values(beats=workers.c.beats + 1).returning(workers.c.name)
            known = set(tx.execute(mine).scalars())
            if new := [{"name": name, "beats": 1} for name in names if name not in known]:
                tx.execute(insert(workers), new)
            return {row.name: row.beats for row in tx.execute(select(workers)) if row.name not in names}

    def abandon(self, name: str) -> bool:
        with self._transactions.removing() as tx:
            if tx.execute(delete(workers).where(workers.c.name == name)).rowcount == 0:
                return False
            _expire(tx, members, name, members.c.state.in_(CLAIMED))
            _expire(tx, responses, name, responses.c.status.in_(UNFINISHED_RESPONSES))
            _expire(tx, batch_jobs, name, batch_jobs.c.status.in_(UNFINISHED_BATCHES))
            return True


def _expire(tx: Connection, table: Table, name: str, unfinished: ColumnElement[bool]) -> None:
    """Ends the leases of `name`, whose tickets begin with it and a slash."""
    held = or_(table.c.worker == name, table.c.worker.startswith(f"{name}/", autoescape=True))
    tx.execute(update(table).where(unfinished, held).values(lease_until=EXPIRED))
