"""Vector stores: whose they are, what they say of themselves, when they go."""

import pytest

from retrieval.api import Conflict, NotFound, ReadOnly
from retrieval.records import Counts, NewMember, NewVectorStore, PageRequest, VectorStoreChanges
from retrieval.store.api import Store
from tests.retrieval.conftest import Clock
from tests.retrieval.filling import IDENTITY, claim, fill, new_store, outcome, put

DAY = 86_400


def test_a_new_store(store: Store, clock: Clock) -> None:
    made = store.create_store(NewVectorStore(owner="", name="kb", description="d", metadata={"a": "b"}, expires_after_days=2))
    assert (made.name, made.description, made.metadata, made.identity, made.usage_bytes) == ("kb", "d", {"a": "b"}, None, 0)
    assert made.counts == Counts()
    assert made.expires_at == int(clock.now) + 2 * DAY
    assert store.store("", made.id) == made


def test_owners(store: Store) -> None:
    of = {owner: new_store(store, owner) for owner in ("", "a", "b")}
    assert {found.id for found in store.stores("a", PageRequest()).items} == {of["a"], of[""]}
    assert store.store("a", of[""]).owner == ""
    for call in (
        lambda: store.store("a", of["b"]),
        lambda: store.delete_store("a", of["b"]),
        lambda: store.change_store("a", of["b"], VectorStoreChanges(name="mine", fields=frozenset({"name"}))),
        lambda: store.add_members("a", of["b"], []),
        lambda: store.members("a", of["b"], PageRequest()),
    ):
        with pytest.raises(NotFound, match="there is no vector store"):
            call()
    for call in (
        lambda: store.delete_store("a", of[""]),
        lambda: store.change_store("a", of[""], VectorStoreChanges(name="mine", fields=frozenset({"name"}))),
        lambda: store.add_members("a", of[""], []),
        lambda: store.change_member("a", of[""], "file_x", {}),
        lambda: store.remove_member("a", of[""], "file_x"),
        lambda: store.cancel_batch("a", of[""], "vsfb_x"),
    ):
        with pytest.raises(ReadOnly, match="belongs to the operator"):
            call()


def test_names(store: Store) -> None:
    first, _, theirs = new_store(store, name="kb"), new_store(store, name="kb"), new_store(store, "a", name="own")
    assert store.store_named("", "kb").id == first
    assert store.store_named("a", "kb").id == first
    mine = new_store(store, "a", name="kb")
    assert store.store_named("a", "kb").id == mine
    assert store.store_named("a", "own").id == theirs
    with pytest.raises(NotFound):
        store.store_named("", "own")


def test_changes(store: Store) -> None:
    store_id = new_store(store, description="d", metadata={"a": "b"}, expires_after_days=3)
    changed = store.change_store("", store_id, VectorStoreChanges(name="new", metadata={}, fields=frozenset({"name", "metadata"})))
    assert (changed.name, changed.metadata, changed.description, changed.expires_after_days) == ("new", {}, "d", 3)
    assert store.change_store("", store_id, VectorStoreChanges(fields=frozenset())) == changed
    assert store.change_store("", store_id, VectorStoreChanges(fields=frozenset({"expires_after_days"}))).expires_at is None


def test_pages(store: Store) -> None:
    newest = [new_store(store, name=str(number)) for number in range(5)][::-1]
    first = store.stores("", PageRequest(limit=2))
    assert ([found.id for found in first.items], first.more) == (newest[:2], True)
    last = store.stores("", PageRequest(limit=3, after=newest[1]))
    assert ([found.id for found in last.items], last.more) == (newest[2:], False)


def test_what_a_store_counts(store: Store) -> None:
    store_id = new_store(store)
    fill(store, store_id, ["one", "two"])
    found = store.store("", store_id)
    assert found.identity == IDENTITY
    assert found.usage_bytes == len("onetwo") + 2 * 8 * 4
    ids = [put(store, str(number)) for number in range(3)]
    store.add_members("", store_id, [NewMember(file_id=file_id) for file_id in ids])
    assert store.fail(claim(store), "invalid_file", "broken")
    claim(store)
    assert store.store("", store_id).counts == Counts(completed=1, failed=1, in_progress=2)


def test_deleting_a_store_leaves_the_files(store: Store) -> None:
    store_id, other = new_store(store), new_store(store)
    file_id = fill(store, store_id, ["apples"])
    fill(store, other, ["apples"], file_id=file_id)
    store.add_members("", store_id, [NewMember(file_id=put(store, "queued"))])
    store.delete_store("", store_id)
    for call in (store.lexical, store.dense):
        with pytest.raises(NotFound):
            call(store_id, "apples" if call == store.lexical else [0.0] * 8, 10)  # type: ignore[operator]
    assert store.claim("worker", 30) is None
    assert store.file("", file_id).id == file_id
    assert len(store.lexical(other, "apples", 10)) == 1


def test_expiry(store: Store, clock: Clock) -> None:
    store_id = new_store(store, expires_after_days=1)
    file_id = fill(store, store_id, ["apples"])
    clock.now += DAY - 1
    store.touch(store_id)
    clock.now += DAY - 1
    store.sweep()
    assert store.lexical(store_id, "apples", 10), "it has been used"
    clock.now += 1
    store.touch(store_id)
    store.sweep()
    gone = store.store("", store_id)
    assert (gone.counts.total, gone.usage_bytes, gone.expires_at) == (0, 0, int(clock.now))
    assert not store.lexical(store_id, "apples", 10)
    with pytest.raises(Conflict, match="expired"):
        store.add_members("", store_id, [NewMember(file_id=file_id)])
    store.change_store("", store_id, VectorStoreChanges(fields=frozenset({"expires_after_days"})))
    fill(store, store_id, ["pears"], file_id=file_id)
    assert store.lexical(store_id, "pears", 10)


def test_touching_writes_once_a_minute(store: Store, clock: Clock) -> None:
    store_id = new_store(store)
    begun = int(clock.now)
    clock.now += 59
    store.touch(store_id)
    assert store.store("", store_id).last_active_at == begun
    clock.now += 1
    store.touch(store_id)
    assert store.store("", store_id).last_active_at == begun + 60
    store.touch("vs_unknown")


def test_the_sweep_takes_expired_files_from_stores(store: Store, clock: Clock) -> None:
    store_id = new_store(store)
    store.add_members("", store_id, [NewMember(file_id=put(store, expires_after=3600))])
    job = claim(store)
    assert store.complete(job, outcome(["apples"]))
    clock.now += 3600
    store.sweep()
    assert store.store("", store_id).counts.total == 0
    assert not store.lexical(store_id, "apples", 10)
