"""Uploads in the archive, in SQLite and PostgreSQL."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select

from retrieval.api import Conflict, NotFound
from retrieval.records import NewFile
from retrieval.store.schema import PART, files
from server.archive.uploads.parts import GRACE_SECONDS, KEPT_SECONDS, SPARE_BYTES
from server.archive.uploads.records import NewUpload, UploadRecord
from server.archive.uploads.tables import upload_data, upload_parts, uploads
from tests.server.archive.conftest import Clock, Process
from tests.server.archive.part_writer import SIZE

ROOT = Path(__file__).parents[3]
Start = Callable[[], Process]


@pytest.fixture
def process(start: Start) -> Process:
    return start()


def begin(process: Process, size: int, **given: Any) -> UploadRecord:
    plain: dict[str, Any] = {"owner": "me", "filename": "a.bin", "purpose": "user_data", "lifetime": 3600, "file_expires_after": None}
    return process.archive.create_upload(NewUpload(bytes=size, **{**plain, **given}))


def rows(process: Process, table: Table) -> int:
    with process.store.transactions.reading() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


def finish(process: Process, upload: UploadRecord, part_ids: list[str]) -> str:
    parts = process.archive.upload_parts("me", upload.id, part_ids)
    content = (data for part in parts for data in process.archive.read_part(part))
    new = NewFile(owner="me", filename=upload.filename, purpose=upload.purpose)
    return process.store.put_file(new, content, process.archive.completing_upload(upload, part_ids)).id


def test_parts_of_any_size_become_one_file(start: Start) -> None:
    sizes = [PART + 7, 3, 2 * PART, 1]
    data = [bytes([number + 1]) * size for number, size in enumerate(sizes)]
    upload = begin(start(), sum(sizes))
    ids = [start().archive.add_part("me", upload.id, [one[:5], one[5:]]).id for one in data]
    order = [2, 0, 3, 1]
    another = start()
    assert [part.bytes for part in another.archive.upload_parts("me", upload.id, ids)] == sizes
    file_id = finish(another, upload, [ids[n] for n in order])
    assert b"".join(another.store.read_file("me", file_id)) == b"".join(data[n] for n in order)
    done = another.archive.upload("me", upload.id)
    assert (done.status, done.file_id, done.part_ids) == ("completed", file_id, tuple(ids[n] for n in order))
    another.archive.remove_parts(upload.id)
    assert rows(another, upload_data) == 0


def test_a_part_that_breaks_off_leaves_nothing(process: Process) -> None:
    upload = begin(process, 10 * PART)

    def broken() -> Iterator[bytes]:
        yield b"x" * (3 * PART)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        process.archive.add_part("me", upload.id, broken())
    assert rows(process, upload_parts) == rows(process, upload_data) == 0


def test_only_its_owner_finds_an_upload(process: Process) -> None:
    upload = begin(process, 1)
    part = process.archive.add_part("me", upload.id, [b"x"])
    work = process.archive
    attempts: list[Callable[[str], object]] = [
        lambda owner: work.upload(owner, upload.id),
        lambda owner: work.add_part(owner, upload.id, [b"x"]),
        lambda owner: work.upload_parts(owner, upload.id, [part.id]),
        lambda owner: work.cancel_upload(owner, upload.id),
    ]
    for attempt in attempts:
        for owner in ("you", ""):
            with pytest.raises(NotFound, match="upload"):
                attempt(owner)
    assert work.upload("me", upload.id).status == "pending"
    other = begin(process, 1)
    with pytest.raises(NotFound, match=part.id):  # nor does another upload have its parts
        work.upload_parts("me", other.id, [part.id])


def test_of_many_who_complete_it_one_does(start: Start) -> None:
    first = start()
    upload = begin(first, 2 * PART)
    ids = [first.archive.add_part("me", upload.id, [b"x" * PART]).id for _ in range(2)]
    processes = [start() for _ in range(3)]

    def attempt(process: Process) -> str | None:
        try:
            return finish(process, upload, ids)
        except Conflict:
            return None

    with ThreadPoolExecutor(3) as pool:
        made = [file_id for file_id in pool.map(attempt, processes) if file_id]
    assert made == [first.archive.upload("me", upload.id).file_id]
    assert rows(first, files) == 1


def test_what_is_cancelled_stays_so(process: Process) -> None:
    upload = begin(process, 3)
    part = process.archive.add_part("me", upload.id, [b"abc"])
    assert process.archive.cancel_upload("me", upload.id).status == "cancelled"
    assert process.archive.cancel_upload("me", upload.id).status == "cancelled"
    assert rows(process, upload_data) == 0
    with pytest.raises(Conflict, match="cancelled"):
        process.archive.add_part("me", upload.id, [b"abc"])
    with pytest.raises(Conflict, match="cancelled"):
        process.store.put_file(NewFile(owner="me", filename="a"), [b"abc"], process.archive.completing_upload(upload, [part.id]))
    assert rows(process, files) == 0
    other = begin(process, 3)
    finish(process, other, [process.archive.add_part("me", other.id, [b"abc"]).id])
    with pytest.raises(Conflict, match="completed"):
        process.archive.cancel_upload("me", other.id)


def test_an_upload_expires_and_is_swept(process: Process, clock: Clock) -> None:
    upload, later = begin(process, 3), begin(process, 3, lifetime=100_000)
    for one in (upload, later):
        process.archive.add_part("me", one.id, [b"abc"])
    clock.now += 3600
    assert process.archive.upload("me", upload.id).status == "expired"
    with pytest.raises(Conflict, match="expired"):
        process.archive.add_part("me", upload.id, [b"abc"])
    process.archive.sweep_uploads()
    assert rows(process, upload_parts) == 2  # one may be about to be completed
    clock.now += GRACE_SECONDS
    process.archive.sweep_uploads()
    assert rows(process, upload_parts) == rows(process, upload_data) == 1 and rows(process, uploads) == 2
    clock.now += KEPT_SECONDS
    process.archive.sweep_uploads()
    assert [process.archive.upload("me", later.id).status, rows(process, uploads)] == ["expired", 1]


def test_more_than_was_said_is_refused(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    upload = begin(process, 4)
    with pytest.raises(Conflict, match="5 bytes are more than the 4"):
        process.archive.add_part("me", upload.id, [b"abcde"])
    monkeypatch.setattr("server.archive.uploads.parts.SPARE_BYTES", 0)
    assert SPARE_BYTES > 0
    for _ in range(2):
        process.archive.add_part("me", upload.id, [b"abcd"])
    with pytest.raises(Conflict, match="twice"):
        process.archive.add_part("me", upload.id, [b"abcd"])
    monkeypatch.setattr("server.archive.uploads.parts.MAX_PARTS", 2)
    with pytest.raises(Conflict, match="2 parts"):
        process.archive.add_part("me", upload.id, [b"a"])
    assert rows(process, upload_parts) == 2


def test_what_was_acknowledged_outlives_kill_9(where: str, start: Start) -> None:
    command = [sys.executable, "-m", "tests.server.archive.part_writer", where]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(3)]
        writer.kill()
        lines += writer.stdout.readlines()
    told = [line.split() for line in lines if line.endswith("\n")]
    archive = start().archive
    parts = archive.upload_parts("", told[0][0], [part_id for _, part_id in told])
    assert len(parts) >= 3
    assert [b"".join(archive.read_part(part)) for part in parts] == [bytes([n]) * SIZE for n in range(len(parts))]
