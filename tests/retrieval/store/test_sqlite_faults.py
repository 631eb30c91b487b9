"""What goes wrong with a SQLite file: each has a kind, and mends itself where it can."""

import os
import random
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest
from sqlalchemy import event

from retrieval.api import DatabaseFault
from retrieval.records import NewFile, NewVectorStore
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from retrieval.store.sqlite import transactions

PART = b"x" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "stoa.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    with closing(open_store(path, StoreOptions())) as opened:
        yield opened


def put(store: Store, name: str = "a.txt", parts: int = 1) -> str:
    return store.put_file(NewFile(owner="", filename=name), [PART] * parts).id


def fault_of(store: Store) -> str | None:
    try:
        store.check()
    except DatabaseFault as fault:
        return fault.kind
    return None


def test_a_writer_that_holds_the_database_makes_it_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "BUSY_TIMEOUT", 0.1)
    with closing(open_store(path, StoreOptions())) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseFault) as caught:
            put(store)
        assert caught.value.kind == "busy" and str(path) in caught.value.detail and str(path) not in str(caught.value)
        assert fault_of(store) is None
        other.execute("ROLLBACK")
        assert put(store)


def test_a_full_database_is_full_until_a_write_succeeds(store: Store, path: Path) -> None:
    engine = store.transactions._transactions._engine  # pyright: ignore[reportAttributeAccessIssue]
    most = [50]
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count = {most[0]}"))
    with pytest.raises(DatabaseFault) as caught:
        put(store, parts=20)
    assert caught.value.kind == "full" and fault_of(store) in (None, "full")
    most[0] = 10_000
    assert fault_of(store) is None and put(store, parts=20)


def test_a_database_that_can_only_be_read_for_a_while(store: Store) -> None:
    file, engine, read_only = put(store), store.transactions._transactions._engine, [1]  # pyright: ignore[reportAttributeAccessIssue]
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA query_only = {read_only[0]}"))
    with pytest.raises(DatabaseFault) as caught:
        put(store)
    assert caught.value.kind == "read_only" == fault_of(store) and store.file("", file)
    read_only[0] = 0
    assert fault_of(store) is None and put(store)


def test_a_database_that_is_deleted_is_missing_and_takes_nothing_into_nowhere(store: Store, path: Path) -> None:
    file = put(store)
    moved = path.parent.rename(path.parent.with_name("elsewhere"))
    for work in (lambda: put(store), lambda: store.file("", file), store.check):
        with pytest.raises(DatabaseFault) as caught:
            work()
        assert caught.value.kind == "missing"
    moved.rename(path.parent)
    assert store.file("", file).bytes == len(PART)


def test_a_copy_that_takes_its_place_is_opened(store: Store, path: Path) -> None:
    kept, lost = put(store, "kept.txt"), None
    store.create_store(NewVectorStore(owner="", name="kept"))
    copy = path.with_name("copy.db")
    with closing(sqlite3.connect(path)) as source:
        source.execute("VACUUM INTO ?", (str(copy),))
    lost = put(store, "lost.txt")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    copy.rename(path)
    assert store.file("", kept).filename == "kept.txt" and store.store_named("", "kept")
    with pytest.raises(Exception, match=lost):
        store.file("", lost)
    assert put(store)


def damage(path: Path, places: int = 200) -> None:
    chance, data = random.Random(1), bytearray(path.read_bytes())
    for _ in range(places):
        at = chance.randrange(100, len(data) - 400)
        data[at : at + 400] = chance.randbytes(400)
    path.write_bytes(data)


def test_damage_is_found_at_the_start(path: Path) -> None:
    with closing(open_store(path, StoreOptions())) as store:
        for n in range(40):
            store.create_store(NewVectorStore(owner="", name=f"store {n}"))
            put(store, f"{n}.txt")
    damage(path)
    with pytest.raises(DatabaseFault) as caught:
        open_store(path, StoreOptions())
    assert caught.value.kind == "damaged" and "copy" in caught.value.detail


def test_a_large_database_is_checked_where_it_was_not_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "CHECKED_BYTES", 0)
    checked: list[bool] = []
    monkeypatch.setattr(transactions.SQLiteTransactions, "_check_pages", lambda self: checked.append(True))
    open_store(path, StoreOptions()).close()
    assert checked == []
    with closing(open_store(path, StoreOptions())) as store:
        put(store)
        copies = path.parent.with_name("copy")
        shutil.copytree(path.parent, copies)  # as a crash leaves it: with a log
    open_store(copies / path.name, StoreOptions()).close()
    assert checked == [True]


def test_nobody_else_may_read_it(path: Path) -> None:
    before = os.umask(0o022)
    try:
        with closing(open_store(path, StoreOptions())) as store:
            put(store)
            modes = {found.name: stat.S_IMODE(found.stat().st_mode) for found in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) == {"stoa.db", "stoa.db-wal", "stoa.db-shm", "stoa.db-reserve"} and set(modes.values()) == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)  # as versions before this one left it
    path.parent.chmod(0o755)
    open_store(path, StoreOptions()).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600 and stat.S_IMODE(path.parent.stat().st_mode) == 0o755


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own in memory; only root may mount one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def can_mount(folder: Path) -> bool:
    with suppress(Exception), small_disk(folder, "size=1m"):
        return True
    return False


@pytest.mark.slow
def test_a_full_disk_lets_everything_be_deleted_and_then_takes_more(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.fail("this test needs to mount a tmpfs; run it as root. The same faults without a disk: the tests above")
    with small_disk(tmp_path / "tiny", "size=24m") as folder, closing(open_store(folder / "stoa.db", StoreOptions())) as store:
        files: list[str] = []
        with pytest.raises(DatabaseFault) as caught:
            files.extend(put(store, f"{n}.txt", 10) for n in range(1000))
        assert caught.value.kind == "full" and len(files) > 10
        for _ in range(40):
            with suppress(DatabaseFault):
                files.append(put(store, "more.txt", 10))
        assert fault_of(store) == "full"
        for file in files:
            store.delete_file("", file)
        assert (folder / "stoa.db").stat().st_size < 8 << 20, "the space goes back to the disk"
        assert (folder / "stoa.db-reserve").stat().st_size == 4 << 20
        assert fault_of(store) is None and put(store, "after.txt", 50)


@pytest.mark.slow
def test_a_disk_that_can_only_be_read(tmp_path: Path) -> None:
    if not can_mount(tmp_path / "probe"):
        pytest.fail("this test needs to mount a tmpfs; run it as root. The same fault without a disk: the test above")
    with small_disk(tmp_path / "disk", "size=24m") as folder:
        open_store(folder / "stoa.db", StoreOptions()).close()
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        with pytest.raises(DatabaseFault) as caught:
            open_store(folder / "stoa.db", StoreOptions())
        assert caught.value.kind == "read_only" and str(folder) in caught.value.detail
