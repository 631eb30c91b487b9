"""Files in stores: added, added again, looked at, taken out."""

import pytest

from retrieval.api import Chunking, Conflict, NotFound
from retrieval.records import Counts, Member, NewMember, Page, PageRequest
from retrieval.store.api import Store
from tests.retrieval.filling import claim, fill, new_store, outcome, put


def names(page: Page[Member]) -> list[str]:
    return [member.filename for member in page.items]


def test_adding(store: Store) -> None:
    store_id, file_id = new_store(store), put(store, "text", filename="b.txt")
    new = NewMember(file_id=file_id, attributes={"a": 1, "b": "x", "c": True}, chunking=Chunking(size=100, overlap=20), source="/b.txt")
    (member,), batch = store.add_members("", store_id, [new])
    assert batch is None
    assert member == store.member("", store_id, file_id)
    assert (member.state, member.progress, member.filename, member.source) == ("queued", 0.0, "b.txt", "/b.txt")
    assert (member.attributes, member.chunking) == (new.attributes, new.chunking)
    assert member.sha256 == store.file("", file_id).sha256
    assert store.sources(store_id) == {"/b.txt": member}


def test_one_unknown_file_and_none_is_added(store: Store) -> None:
    store_id, file_id = new_store(store), put(store)
    foreign = put(store, owner="b")
    for wrong in ("file-unknown", foreign):
        with pytest.raises(NotFound, match=f"there is no file '{wrong}'"):
            store.add_members("", store_id, [NewMember(file_id=file_id), NewMember(file_id=wrong)])
    assert not store.members("", store_id, PageRequest()).items


def test_adding_again_changes_the_attributes_alone(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["apples"], attributes={"a": 1})
    (member,), _ = store.add_members("", store_id, [NewMember(file_id=file_id, attributes={"a": 2})])
    assert (member.state, member.attributes) == ("ready", {"a": 2})
    assert store.claim("worker", 30) is None


def test_adding_again_with_another_chunking_queues_it(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["apples and pears"])
    (member,), _ = store.add_members("", store_id, [NewMember(file_id=file_id, chunking=Chunking(size=200))])
    assert member.state == "queued"
    assert store.lexical(store_id, "apples", 10), "the old chunks serve until the new are there"
    assert store.complete(claim(store), outcome(["apples", "and pears"]))
    assert [chunk.text for chunk in store.chunks_of("", store_id, file_id)] == ["apples", "and pears"]
    assert len(store.lexical(store_id, "apples pears", 10)) == 2


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_adding_again_gives_another_try(store: Store, end: str) -> None:
    store_id, file_id = new_store(store), put(store)
    _, batch = store.add_members("", store_id, [NewMember(file_id=file_id)], batch=True)
    assert batch is not None
    if end == "failed":
        store.fail(claim(store), "invalid_file", "broken")
        assert store.member("", store_id, file_id).error == "broken"
    else:
        store.cancel_batch("", store_id, batch.id)
    (member,), _ = store.add_members("", store_id, [NewMember(file_id=file_id)])
    assert (member.state, member.error, member.error_code) == ("queued", None, None)
    assert claim(store).attempts == 1


def test_the_same_file_twice_in_one_call(store: Store) -> None:
    store_id, file_id = new_store(store), put(store)
    members, batch = store.add_members("", store_id, [NewMember(file_id=file_id, attributes={"n": n}) for n in (1, 2)], batch=True)
    assert [member.attributes for member in members] == [{"n": 2}]
    assert batch is not None
    assert batch.counts.total == 1


def test_pages_and_states(store: Store) -> None:
    store_id = new_store(store)
    ids = [put(store, str(n), filename=f"{n}") for n in range(5)]
    store.add_members("", store_id, [NewMember(file_id=file_id) for file_id in ids])
    store.fail(claim(store), "invalid_file", "broken")
    claim(store)
    assert names(store.members("", store_id, PageRequest())) == ["4", "3", "2", "1", "0"]
    assert names(store.members("", store_id, PageRequest(limit=2, order="asc", after=ids[0]))) == ["1", "2"]
    assert names(store.members("", store_id, PageRequest(), states=["failed"])) == ["0"]
    assert names(store.members("", store_id, PageRequest(), states=["queued", "parsing", "embedding"])) == ["4", "3", "2", "1"]
    # the last seen has changed its state meanwhile: the list goes on behind it all the same
    assert names(store.members("", store_id, PageRequest(after=ids[1]), states=["failed"])) == ["0"]
    with pytest.raises(NotFound):
        store.members("", store_id, PageRequest(after="file-unknown"))


def test_batches(store: Store) -> None:
    store_id = new_store(store)
    ready = fill(store, store_id, ["apples"])
    ids = [ready, *(put(store, str(n)) for n in range(3))]
    _, batch = store.add_members("", store_id, [NewMember(file_id=file_id) for file_id in ids], batch=True)
    assert batch is not None
    assert batch.counts == Counts(completed=1, in_progress=3)
    job = claim(store)
    ended = store.cancel_batch("", store_id, batch.id)
    assert (ended.cancelled, ended.counts) == (True, Counts(completed=1, cancelled=3))
    assert store.batch("", store_id, batch.id) == ended
    assert not store.report(job, "embedding", 0.5, 30)
    assert not store.complete(job, outcome(["text"]))
    assert store.claim("worker", 30) is None
    assert len(store.members("", store_id, PageRequest(), batch_id=batch.id).items) == 4
    _, through = store.add_members("", store_id, [NewMember(file_id=ready)], batch=True)
    assert through is not None and not store.cancel_batch("", store_id, through.id).cancelled
    for wrong in (lambda: store.batch("", store_id, "vsfb_no"), lambda: store.batch("", new_store(store), batch.id)):
        with pytest.raises(NotFound, match="there is no file batch"):
            wrong()


def test_changing_attributes(store: Store) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["apples"], attributes={"a": 1})
    assert store.change_member("", store_id, file_id, {"b": 2.5}).attributes == {"b": 2.5}
    ((_, attributes),) = store.hits([chunk.id for chunk in store.chunks_of("", store_id, file_id)]).values()
    assert attributes == {"b": 2.5}


def test_removing(store: Store) -> None:
    store_id = new_store(store)
    gone, kept = fill(store, store_id, ["apples"]), fill(store, store_id, ["apples too"], filename="b.txt")
    (chunk,) = store.chunks_of("", store_id, gone)
    store.remove_member("", store_id, gone)
    assert [found.chunk_id for found in store.lexical(store_id, "apples", 10)] == [store.chunks_of("", store_id, kept)[0].id]
    assert store.hits([chunk.id]) == {}
    for call in (store.member, store.chunks_of, store.text_of, store.remove_member):
        with pytest.raises(NotFound, match="there is no file of this vector store"):
            call("", store_id, gone)
    with pytest.raises(NotFound, match="there is no chunk"):
        store.chunk("", store_id, chunk.id)
    assert store.file("", gone).id == gone


def test_chunks_and_text(store: Store) -> None:
    store_id = new_store(store, "k")
    file_id = put(store, "one\ntwo", owner="k", filename="n.txt")
    store.add_members("k", store_id, [NewMember(file_id=file_id)])
    with pytest.raises(Conflict, match=r"'n\.txt' is not there: the file is queued"):
        store.text_of("k", store_id, file_id)
    assert store.chunks_of("k", store_id, file_id) == []
    assert store.complete(claim(store), outcome(["one", "two"]))
    text = store.text_of("k", store_id, file_id)
    first, second = store.chunks_of("k", store_id, file_id)
    assert [text[chunk.start : chunk.end] for chunk in (first, second)] == ["one", "two"]
    assert (second.ordinal, second.file_id, second.filename, second.store_id) == (1, file_id, "n.txt", store_id)
    assert store.chunk("k", store_id, second.id) == second
    assert store.member("k", store_id, file_id).notes == ("read",)
    with pytest.raises(NotFound):
        store.chunk("a", store_id, second.id)
    with pytest.raises(NotFound):
        store.chunk("k", new_store(store, "k"), second.id)


def test_many_at_once(store: Store) -> None:
    store_id = new_store(store)
    ids = [put(store, str(n)) for n in range(120)]
    members, _ = store.add_members("", store_id, [NewMember(file_id=file_id) for file_id in ids], batch=True)
    assert [member.file_id for member in members] == ids
    assert [claim(store).file_id for _ in ids] == ids
