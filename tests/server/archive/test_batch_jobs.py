"""Batches in the archive, in SQLite and PostgreSQL: leases, and lines that are answered once."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from retrieval.api import Conflict, NotFound
from retrieval.records import NewFile, PageRequest
from retrieval.store.schema import files
from server.archive.batches.records import BatchRecord, LeaseLost, LineResult, NewBatch, NewLine, TokenUsage
from server.archive.batches.tables import batch_lines
from server.archive.database import DatabaseArchive
from tests.server.archive.conftest import Clock, Process

ROOT = Path(__file__).parents[3]
Start = Callable[[], Process]


@pytest.fixture
def archive(start: Start) -> DatabaseArchive:
    return start().archive


def create(archive: DatabaseArchive, owner: str = "me") -> BatchRecord:
    given: Any = {"endpoint": "/v1/responses", "completion_window": "24h", "lifetime": 86_400, "output_expires_after": None}
    return archive.create_batch(NewBatch(owner=owner, input_file_id="file-1", metadata={"a": "b"}, **given))


def validated(archive: DatabaseArchive, lines: int = 3, owner: str = "me") -> str:
    made = create(archive, owner)
    claimed = archive.claim_batch("validator", 30)
    assert claimed is not None and claimed.id == made.id
    archive.add_lines(made.id, "validator", [NewLine(number=n, custom_id=f"c{n}", body=f'{{"n": {n}}}') for n in range(1, lines + 1)])
    assert archive.accept_batch(made.id, "validator", "tiny").status == "in_progress"
    return made.id


def result(number: int, succeeded: bool = True, output: str = "{}") -> LineResult:
    return LineResult(number=number, succeeded=succeeded, output=output, usage=TokenUsage(input=5, cached=1, output=3, reasoning=2))


def test_a_batch_belongs_to_its_owner(archive: DatabaseArchive) -> None:
    made = create(archive)
    assert archive.batch("me", made.id) == made and made.expires_at == made.created_at + 86_400
    assert [one.id for one in archive.batches("me", PageRequest()).items] == [made.id]
    assert archive.batches("you", PageRequest()).items == archive.batches("", PageRequest()).items == ()
    for work in (archive.batch, archive.cancel_batch):
        with pytest.raises(NotFound, match=made.id):
            work("you", made.id)


def test_a_line_is_answered_once(archive: DatabaseArchive) -> None:
    id = validated(archive)
    assert archive.claim_batch("a", 30) is not None
    assert [line.custom_id for line in archive.take_lines(id, "a", 0, 2, tried=False)] == ["c1", "c2"]
    archive.finish_line(id, "a", result(1, output="first"))
    archive.finish_line(id, "a", result(1, succeeded=False, output="second"))
    archive.finish_line(id, "a", result(2, succeeded=False, output="error"))
    found = archive.batch("me", id)
    assert (found.total, found.completed, found.failed) == (3, 1, 1)
    assert found.usage == TokenUsage(input=10, cached=2, output=6, reasoning=4)
    assert [(one.number, one.succeeded, one.output) for one in archive.outcomes(id, 0, 9)] == [
        (1, True, "first"), (2, False, "error"), (3, False, None),
    ]  # fmt: skip
    assert [line.number for line in archive.take_lines(id, "a", 0, 9, tried=False)] == [3]
    assert archive.take_lines(id, "a", 0, 9, tried=False) == []
    assert [(line.number, line.attempts) for line in archive.take_lines(id, "a", 0, 9, tried=True)] == [(3, 1)]


def test_who_has_lost_the_lease_changes_nothing(start: Start, clock: Clock) -> None:
    old, new = start(), start()
    id = validated(old.archive)
    assert old.archive.claim_batch("old", 30) is not None and new.archive.claim_batch("new", 30) is None
    old.archive.take_lines(id, "old", 0, 1, tried=False)
    clock.now += 29
    assert old.archive.renew_batch(id, "old", 30) == "in_progress" and new.archive.claim_batch("new", 30) is None
    clock.now += 31
    claimed = new.archive.claim_batch("new", 30)
    assert claimed is not None and claimed.id == id
    late: list[Callable[[], object]] = [
        lambda: old.archive.renew_batch(id, "old", 30),
        lambda: old.archive.finish_line(id, "old", result(1)),
        lambda: old.archive.take_lines(id, "old", 0, 1, tried=False),
        lambda: old.archive.finalize_batch(id, "old"),
        lambda: old.archive.end_batch(id, "old", "completed"),
        lambda: old.archive.release_batch(id, "old", [1]),
        lambda: old.store.put_file(NewFile(owner="me", filename="a"), [b"x"], old.archive.writing_output(id, "old", "output")),
    ]
    for work in late:
        with pytest.raises(LeaseLost):
            work()
    assert old.archive.batch("me", id).completed == 0
    with old.store.transactions.reading() as tx:
        assert tx.execute(select(func.count()).select_from(files)).scalar_one() == 0
    assert [line.number for line in new.archive.take_lines(id, "new", 0, 9, tried=True)] == [1]
    new.archive.release_batch(id, "new", [1])
    assert new.archive.claim_batch("third", 30) is not None
    assert [line.attempts for line in new.archive.take_lines(id, "third", 0, 9, tried=True)] == [1]


def test_of_many_one_gets_each_batch(start: Start) -> None:
    processes = [start() for _ in range(4)]
    ids = [validated(processes[0].archive, owner=f"o{n}") for n in range(8)]

    def claim(number: int) -> list[str]:
        found = iter(lambda: processes[number].archive.claim_batch(f"w{number}", 30), None)
        return [batch.id for batch in found if batch is not None]

    with ThreadPoolExecutor(4) as pool:
        claimed = [id for ids in pool.map(claim, range(4)) for id in ids]
    assert sorted(claimed) == sorted(ids)


def test_what_needs_no_model_comes_first_and_owners_take_turns(archive: DatabaseArchive, clock: Clock) -> None:
    mine, mine_too, yours = validated(archive), validated(archive), validated(archive, owner="you")

    def claim(*busy: str) -> str | None:
        found = archive.claim_batch("w", 30, busy)
        return found and found.id

    assert claim() == mine and claim("me") == yours and claim("me", "you") is None
    fresh = create(archive, "me").id
    assert claim("me", "you") == fresh
    assert archive.cancel_batch("me", mine_too).status == "cancelling" and claim("me", "you") == mine_too
    archive.release_batch(yours, "w")
    clock.now += 86_400
    for held in (mine, mine_too, fresh):
        archive.renew_batch(held, "w", 30)
    assert claim("me", "you") == yours  # its time is over: there is nothing to answer


def test_its_stages_have_one_order(archive: DatabaseArchive, clock: Clock) -> None:
    id = validated(archive)
    archive.claim_batch("w", 30)
    clock.now += 5
    archive.finalize_batch(id, "w")
    with pytest.raises(Conflict, match="finalizing"):
        archive.cancel_batch("me", id)
    with pytest.raises(LeaseLost):
        archive.finalize_batch(id, "w")
    archive.end_batch(id, "w", "completed")
    found = archive.batch("me", id)
    assert (found.status, found.failed, archive.outcomes(id, 0, 9)) == ("completed", 3, [])
    assert found.times == {"in_progress": 1_700_000_000, "finalizing": 1_700_000_005, "completed": 1_700_000_005}
    assert archive.claim_batch("w", 30) is None and archive.batch_backlog() == dict.fromkeys(archive.batch_backlog(), 0)
    cancelled = create(archive).id
    archive.claim_batch("w", 30)
    archive.cancel_batch("me", cancelled)
    for work in (lambda: archive.accept_batch(cancelled, "w", None), lambda: archive.refuse_batch(cancelled, "w", [])):
        with pytest.raises(LeaseLost):
            work()
    assert archive.renew_batch(cancelled, "w", 30) == "cancelling"


def test_a_file_is_noted_once(start: Start) -> None:
    process = start()
    id = validated(process.archive)
    process.archive.claim_batch("w", 30)
    made = process.store.put_file(NewFile(owner="me", filename="a"), [b"x"], process.archive.writing_output(id, "w", "output"))
    with pytest.raises(LeaseLost):
        process.store.put_file(NewFile(owner="me", filename="a"), [b"x"], process.archive.writing_output(id, "w", "output"))
    assert process.archive.batch("me", id).output_file_id == made.id


def test_what_was_answered_outlives_kill_9(where: str, start: Start, clock: Clock) -> None:
    command = [sys.executable, "-m", "tests.server.archive.line_writer", where]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        told = [writer.stdout.readline() for _ in range(20)]
        writer.kill()
        told += [line for line in writer.stdout.readlines() if line.endswith("\n")]
    id, answered = told[0].split()[0], {int(line.split()[1]) for line in told}
    clock.now = 4_000_000_000.0
    process = start()
    assert process.archive.claim_batch("next", 30) is not None
    tried = process.archive.take_lines(id, "next", 0, 100, tried=True)
    assert len(tried) <= 4 and not answered & {line.number for line in tried}
    found = process.archive.batch("", id)
    assert found.completed in (len(answered), len(answered) + 1)  # the last one may not have been told
    assert (found.usage.input, found.usage.output) == (2 * found.completed, found.completed)
    with process.store.transactions.reading() as tx:
        outputs = tx.execute(select(batch_lines.c.number, batch_lines.c.output).where(batch_lines.c.succeeded)).all()
    assert answered <= {row.number for row in outputs} and all(row.output == f"by dead {row.number}" for row in outputs)
