"""Files: what is put there is there, whole, for those who may see it."""

import hashlib
from collections.abc import Callable, Iterator

import pytest

from retrieval.api import NotFound, ReadOnly
from retrieval.records import NewFile, PageRequest
from retrieval.store.api import Store
from retrieval.store.schema import file_parts, files
from tests.retrieval.conftest import Clock
from tests.retrieval.filling import count, fill, new_store, put


@pytest.mark.parametrize("sizes", [[], [0], [1], [7, 0, 9], [8], [16], [17], [3] * 20])
def test_content_comes_back(store: Store, monkeypatch: pytest.MonkeyPatch, sizes: list[int]) -> None:
    monkeypatch.setattr("retrieval.store.files.PART", 8)
    parts = [bytes([65 + number]) * size for number, size in enumerate(sizes)]
    file = store.put_file(NewFile(owner="", filename="ünï.txt", purpose="user_data"), parts)
    content = b"".join(parts)
    assert (file.bytes, file.sha256, file.filename) == (len(content), hashlib.sha256(content).hexdigest(), "ünï.txt")
    read = list(store.read_file("", file.id))
    assert b"".join(read) == content
    assert all(len(part) <= 8 for part in read)
    assert store.file("", file.id) == file


@pytest.mark.parametrize("good", [0, 5, 50])
def test_a_broken_upload_leaves_no_trace(store: Store, monkeypatch: pytest.MonkeyPatch, good: int) -> None:
    monkeypatch.setattr("retrieval.store.files.PART", 8)

    def content() -> Iterator[bytes]:
        yield b"x" * good
        assert not store.files("", PageRequest()).items, "seen before it is whole"
        raise ConnectionError("hung up")

    with pytest.raises(ConnectionError):
        store.put_file(NewFile(owner="", filename="a"), content())
    assert count(store, files) == count(store, file_parts) == 0


def test_owners(store: Store) -> None:
    of = {owner: put(store, owner, owner=owner) for owner in ("", "a", "b")}
    assert {file.id for file in store.files("a", PageRequest()).items} == {of["a"], of[""]}
    assert {file.id for file in store.files("", PageRequest()).items} == {of[""]}
    for call in (store.file, store.read_file, store.delete_file):
        with pytest.raises(NotFound, match="there is no file"):
            call("a", of["b"])
    with pytest.raises(ReadOnly, match="belongs to the operator"):
        store.delete_file("a", of[""])
    store.delete_file("a", of["a"])
    with pytest.raises(NotFound):
        store.file("a", of["a"])


def test_pages(store: Store) -> None:
    ids = [put(store, str(number), purpose="assistants" if number % 2 else "user_data") for number in range(7)]
    newest = ids[::-1]

    def page(**given: str | int) -> tuple[list[str], bool]:
        found = store.files("", PageRequest(**given))  # type: ignore[arg-type]
        return [file.id for file in found.items], found.more

    assert page() == (newest, False)
    assert page(limit=3) == (newest[:3], True)
    assert page(limit=3, after=newest[2]) == (newest[3:6], True)
    assert page(limit=3, after=newest[5]) == (newest[6:], False)
    assert page(limit=2, before=newest[4]) == (newest[2:4], True)
    assert page(limit=9, before=newest[4]) == (newest[:4], False)
    assert page(after=newest[1], before=newest[4]) == (newest[2:4], False)
    assert page(limit=2, order="asc", after=ids[1]) == (ids[2:4], True)
    assert page(limit=2, order="asc", before=ids[4]) == (ids[2:4], True)
    assert [file.id for file in store.files("", PageRequest(), purpose="assistants").items] == newest[1::2]
    with pytest.raises(NotFound):
        page(after="file-unknown")


def test_expired_files_are_gone(store: Store, clock: Clock) -> None:
    file_id = put(store, expires_after=3600)
    assert store.file("", file_id).expires_at == int(clock.now) + 3600
    clock.now += 3600
    with pytest.raises(NotFound):
        store.file("", file_id)
    assert not store.files("", PageRequest()).items
    store_id = new_store(store)
    store.sweep()
    clock.now -= 3600
    with pytest.raises(NotFound):
        store.file("", file_id)
    assert store.store("", store_id).counts.total == 0


def test_the_sweep_takes_abandoned_uploads(
    store: Store, opener: Callable[[], Store], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrieval.store.files.PART", 8)
    other = opener()

    def content() -> Iterator[bytes]:
        yield b"x" * 20
        other.sweep()
        yield b"y" * 20
        clock.now += 100_000
        other.sweep()
        yield b"z" * 20

    with pytest.raises(Exception, match=r"(?i)foreign key"):
        store.put_file(NewFile(owner="", filename="a"), content())
    assert not store.files("", PageRequest()).items


def test_deleting_a_file_takes_it_from_every_store(store: Store) -> None:
    first, second = new_store(store), new_store(store)
    file_id = fill(store, first, ["apples and pears"])
    fill(store, second, ["apples and pears"], file_id=file_id)
    kept = fill(store, second, ["apples only"], filename="b.txt")
    store.delete_file("", file_id)
    assert not store.lexical(first, "apples", 10)
    found = store.hits([hit.chunk_id for hit in store.lexical(second, "apples pears", 10)])
    assert [chunk.file_id for chunk, _ in found.values()] == [kept]
    assert (store.store("", first).counts.total, store.store("", second).counts.total) == (0, 1)


def test_reading_a_file_that_goes_meanwhile(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.store.files.PART", 8)
    file_id = put(store, b"x" * 20)
    parts = store.read_file("", file_id)
    next(parts)
    store.delete_file("", file_id)
    with pytest.raises(NotFound):
        next(parts)


def test_finding_the_same_content(store: Store) -> None:
    first = put(store, "same", filename="a.txt")
    put(store, "same", filename="a.txt")
    put(store, "same", filename="a.txt", owner="k")
    digest = hashlib.sha256(b"same").hexdigest()
    found = store.find_file("", digest, "a.txt")
    assert found is not None
    assert found.id == first
    assert store.find_file("", digest, "b.txt") is None
    assert store.find_file("b", digest, "a.txt") is None


def test_deleting_what_nobody_uses(store: Store) -> None:
    file_id, store_id = put(store), new_store(store)
    fill(store, store_id, ["text"], file_id=file_id)
    assert not store.delete_unused("", file_id)
    store.remove_member("", store_id, file_id)
    assert not store.delete_unused("k", file_id)
    assert store.delete_unused("", file_id)
    assert not store.delete_unused("", file_id)
