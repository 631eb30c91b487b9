"""The lines of batches: taken by a worker, answered once."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, delete, insert, select, update

from retrieval.store.dialect import Transactions
from server.archive.batches.jobs import held
from server.archive.batches.records import BatchLine, LineOutcome, LineResult, NewLine
from server.archive.batches.tables import batch_jobs, batch_lines


class BatchLineTable:
    """Implements what records.Batches says of lines."""

    _transactions: Transactions

    def clear_lines(self, batch_id: str, worker: str) -> None:
        with self._transactions.removing() as tx:
            row = held(tx, batch_id, worker, "validating")
            tx.execute(delete(batch_lines).where(batch_lines.c.batch_key == row["key"]))

    def add_lines(self, batch_id: str, worker: str, lines: Sequence[NewLine]) -> None:
        with self._transactions.writing() as tx:
            row = held(tx, batch_id, worker, "validating")
            same = {"batch_key": row["key"], "attempts": 0}
            tx.execute(insert(batch_lines), [{**same, "number": n.number, "custom_id": n.custom_id, "body": n.body} for n in lines])

    def take_lines(self, batch_id: str, worker: str, after: int, limit: int, *, tried: bool) -> list[BatchLine]:
        attempted = batch_lines.c.attempts > 0 if tried else batch_lines.c.attempts == 0
        with self._transactions.writing() as tx:
            key = held(tx, batch_id, worker, "in_progress")["key"]
            wanted = (batch_lines.c.batch_key == key, batch_lines.c.succeeded.is_(None), attempted, batch_lines.c.number > after)
            rows = tx.execute(select(batch_lines).where(*wanted).order_by(batch_lines.c.number).limit(limit)).mappings().all()
            if rows:
                taken = (batch_lines.c.batch_key == key, batch_lines.c.number.in_([row["number"] for row in rows]))
                tx.execute(update(batch_lines).where(*taken).values(attempts=batch_lines.c.attempts + 1))
        return [_line(row) for row in rows]

    def finish_line(self, batch_id: str, worker: str, result: LineResult) -> None:
        with self._transactions.writing() as tx:
            key = held(tx, batch_id, worker)["key"]
            open = (batch_lines.c.batch_key == key, batch_lines.c.number == result.number, batch_lines.c.succeeded.is_(None))
            done = {"succeeded": result.succeeded, "output": result.output, "body": ""}
            if tx.execute(update(batch_lines).where(*open).values(**done)).rowcount == 0:
                return
            jobs, usage = batch_jobs.c, result.usage
            counts = {
                jobs.completed: jobs.completed + int(result.succeeded),
                jobs.failed: jobs.failed + int(not result.succeeded),
                jobs.input_tokens: jobs.input_tokens + usage.input,
                jobs.cached_tokens: jobs.cached_tokens + usage.cached,
                jobs.output_tokens: jobs.output_tokens + usage.output,
                jobs.reasoning_tokens: jobs.reasoning_tokens + usage.reasoning,
            }
            tx.execute(update(batch_jobs).where(jobs.key == key).values(counts))

    def outcomes(self, batch_id: str, after: int, limit: int) -> list[LineOutcome]:
        query = select(batch_lines).join(batch_jobs, batch_lines.c.batch_key == batch_jobs.c.key)
        wanted = (batch_jobs.c.id == batch_id, batch_lines.c.number > after)
        with self._transactions.reading() as tx:
            rows = tx.execute(query.where(*wanted).order_by(batch_lines.c.number).limit(limit)).mappings().all()
        return [
            LineOutcome(number=row["number"], custom_id=row["custom_id"], succeeded=bool(row["succeeded"]), output=row["output"])
            for row in rows
        ]


def _line(row: RowMapping) -> BatchLine:
    return BatchLine(number=row["number"], custom_id=row["custom_id"], body=row["body"], attempts=row["attempts"])
