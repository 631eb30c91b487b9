"""The queue: each file is read by one worker, whoever dies loses its claim, and a result comes whole or not at all."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from retrieval.api import ModelIdentity, WrongModel
from retrieval.records import Job, NewMember, NewVectorStore
from retrieval.store.api import MAX_ATTEMPTS, Store
from tests.retrieval.conftest import Clock
from tests.retrieval.filling import IDENTITY, WIDTH, claim, fill, new_store, outcome, put


def queue(store: Store, store_id: str, count: int = 1) -> list[str]:
    ids = [put(store, f"{number}", filename=f"{number}.txt") for number in range(count)]
    store.add_members("", store_id, [NewMember(file_id=file_id) for file_id in ids])
    return ids


def test_a_job_says_all_that_a_worker_needs(store: Store) -> None:
    store_id = new_store(store, "k")
    file_id = put(store, "hello", owner="k", filename="a.txt")
    store.add_members("k", store_id, [NewMember(file_id=file_id)])
    job = claim(store)
    assert (job.store_id, job.file_id, job.owner, job.filename, job.bytes, job.attempts) == (store_id, file_id, "k", "a.txt", 5, 1)
    assert b"".join(store.read_file(job.owner, job.file_id)) == b"hello"
    assert store.member("k", store_id, file_id).state == "parsing"
    assert store.claim("other", 30) is None


def test_reports(store: Store) -> None:
    store_id = new_store(store)
    (file_id,) = queue(store, store_id)
    job = claim(store)
    assert store.report(job, "embedding", 0.5, 30)
    member = store.member("", store_id, file_id)
    assert (member.state, member.progress) == ("embedding", 0.5)
    assert not store.report(replace(job, ticket="worker/other"), "embedding", 0.9, 30)


def test_a_lease_that_ran_out_goes_to_another(store: Store, clock: Clock) -> None:
    store_id = new_store(store)
    queue(store, store_id)
    first = claim(store)
    clock.now += 29
    assert store.report(first, "parsing", 0.1, 30)
    clock.now += 29
    assert store.claim("other", 30) is None
    clock.now += 2
    second = claim(store)
    assert second.attempts == 2
    assert not store.report(first, "embedding", 0.5, 30)
    assert not store.complete(first, outcome(["from the first"]))
    assert not store.fail(first, "server_error", "no")
    store.release(first)
    assert store.complete(second, outcome(["from the second"]))
    assert not store.lexical(store_id, "first", 10)
    assert store.lexical(store_id, "second", 10)


def test_late_is_fine_when_nobody_else_has_it(store: Store, clock: Clock) -> None:
    store_id = new_store(store)
    queue(store, store_id)
    job = claim(store)
    clock.now += 1000
    assert store.complete(job, outcome(["late"]))


def test_what_kills_its_workers_fails(store: Store, clock: Clock) -> None:
    store_id = new_store(store)
    deadly, other = queue(store, store_id, 2)
    for attempt in range(MAX_ATTEMPTS):
        job = claim(store)
        assert (job.file_id, job.attempts) == (deadly, attempt + 1)
        clock.now += 31
    assert claim(store).file_id == other
    member = store.member("", store_id, deadly)
    assert (member.state, member.error_code) == ("failed", "server_error")
    assert member.error is not None
    assert "3 times" in member.error


def test_releasing_does_not_count(store: Store) -> None:
    queue(store, new_store(store))
    for _ in range(2 * MAX_ATTEMPTS):
        job = claim(store)
        assert job.attempts == 1
        store.release(job)


def test_oldest_first_and_the_abandoned_before_them(store: Store, clock: Clock) -> None:
    first, second, third = queue(store, new_store(store), 3)
    assert claim(store).file_id == first
    clock.now += 31
    assert [claim(store).file_id for _ in range(3)] == [first, second, third]


def test_failing(store: Store) -> None:
    store_id = new_store(store)
    (file_id,) = queue(store, store_id)
    job = claim(store)
    assert store.fail(job, "unsupported_file", "of no known kind")
    member = store.member("", store_id, file_id)
    assert (member.state, member.error_code, member.error) == ("failed", "unsupported_file", "of no known kind")
    assert not store.complete(job, outcome(["too late"]))
    assert store.claim("worker", 30) is None


@pytest.mark.parametrize("how", ["member", "file", "store"])
def test_a_job_whose_member_is_gone(store: Store, how: str) -> None:
    store_id = new_store(store)
    (file_id,) = queue(store, store_id)
    job = claim(store)
    match how:
        case "member":
            store.remove_member("", store_id, file_id)
        case "file":
            store.delete_file("", file_id)
        case _:
            store.delete_store("", store_id)
    assert not store.report(job, "embedding", 0.5, 30)
    assert not store.complete(job, outcome(["text"]))
    assert not store.fail(job, "server_error", "x")
    store.release(job)


def test_added_again_while_it_is_read(store: Store) -> None:
    store_id = new_store(store)
    (file_id,) = queue(store, store_id)
    old = claim(store)
    store.remove_member("", store_id, file_id)
    store.add_members("", store_id, [NewMember(file_id=file_id)])
    assert not store.complete(old, outcome(["of the old"]))
    assert store.complete(claim(store), outcome(["of the new"]))


@pytest.mark.parametrize(
    "other", [replace(IDENTITY, model="large"), replace(IDENTITY, revision="2"), replace(IDENTITY, document_prompt="passage: ")]
)
def test_vectors_of_another_model_are_refused(store: Store, other: object) -> None:
    store_id = new_store(store)
    fill(store, store_id, ["apples"])
    assert isinstance(other, type(IDENTITY))
    (file_id,) = queue(store, store_id)
    job = claim(store)
    with pytest.raises(WrongModel, match=r"stoa ingest PATH\.\.\. --store ANOTHER_NAME"):
        store.complete(job, outcome(["pears"], identity=other))
    assert store.member("", store_id, file_id).state == "parsing"
    assert not store.lexical(store_id, "pears", 10)
    with pytest.raises(WrongModel, match="'tiny'"):
        store.expect(store_id, other)
    store.expect(store_id, IDENTITY)
    store.expect(new_store(store), other)


def refused(store: Store, made: ModelIdentity, given: ModelIdentity) -> str:
    store_id = store.create_store(NewVectorStore(owner="", name="handbook")).id
    queue(store, store_id)
    store.complete(claim(store), outcome(["pears"], identity=made))
    with pytest.raises(WrongModel) as told:
        store.expect(store_id, given)
    return str(told.value).replace(store_id, "ID")


NEW_STORE = "read the documents into a new one: stoa ingest PATH... --store ANOTHER_NAME (over the API: add its files to one)"


def test_a_refusal_names_store_and_model_as_the_operator_does_and_the_way_back(store: Store) -> None:
    made = replace(IDENTITY, called="mini")
    told = refused(store, made, replace(IDENTITY, model="large", called="org/large"))
    assert told == (
        "the vector store 'handbook' (ID) was made with the embedding model 'mini', which is not the one here, 'org/large'"
        f" (model 'tiny' there, 'large' here); set STOA_EMBEDDING_MODEL=mini, or {NEW_STORE}"
    )


def test_a_changed_prompt_is_told_with_the_setting_that_brings_it_back(store: Store) -> None:
    made = replace(IDENTITY, called="e5", query_prompt="query: ", document_prompt="it's: ")
    told = refused(store, made, replace(made, query_prompt="", document_prompt="passage: "))
    assert "model 'e5' (query prompt 'query: ' there, '' here" in told and f", or {NEW_STORE}" in told
    assert """set STOA_QUERY_PROMPT='query: ' STOA_DOCUMENT_PROMPT='it'"'"'s: ',""" in told


def test_a_model_that_was_trained_on_cannot_be_brought_back_by_a_setting(store: Store) -> None:
    told = refused(store, IDENTITY, replace(IDENTITY, revision="2"))
    assert f"model 'tiny' (revision '1' there, '2' here); {NEW_STORE}" in told


def test_what_a_model_is_called_says_nothing_about_its_vectors(store: Store) -> None:
    store_id = new_store(store)
    fill(store, store_id, ["apples"])
    store.expect(store_id, replace(IDENTITY, called="another name"))


def test_a_document_without_pieces(store: Store) -> None:
    store_id = new_store(store)
    queue(store, store_id)
    assert store.complete(claim(store), outcome([]))
    assert store.store("", store_id).counts.completed == 1
    assert store.dense(store_id, np.ones(WIDTH, np.float32), 5) == []


def test_what_goes_wrong_half_way_leaves_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store_id = new_store(store)
    file_id = fill(store, store_id, ["old apples"])
    store.add_members("", store_id, [NewMember(file_id=file_id, chunking=replace(store.member("", store_id, file_id).chunking, size=99))])
    job = claim(store)

    def broken(*_: object) -> None:
        raise OSError("no space left on the device")

    with monkeypatch.context() as patched:
        patched.setattr("retrieval.store.queue._ready", broken)
        with pytest.raises(OSError, match="no space"):
            store.complete(job, outcome(["new apples"]))
    assert store.member("", store_id, file_id).state == "parsing"
    assert [chunk.text for chunk in store.chunks_of("", store_id, file_id)] == ["old apples"]
    assert not store.lexical(store_id, "new", 10)
    assert len(store.dense(store_id, outcome(["old apples"]).vectors[0], 10)) == 1
    assert store.complete(job, outcome(["new apples"]))
    assert len(store.lexical(store_id, "new", 10)) == 1


def test_each_job_goes_to_one_worker(opener: Callable[[], Store]) -> None:
    stores = [opener() for _ in range(3)]
    ids = queue(stores[0], new_store(stores[0]), 40)

    def work(number: int) -> list[Job]:
        done: list[Job] = []
        while (job := stores[number % 3].claim(str(number), 30)) is not None:
            assert stores[number % 3].complete(job, outcome([f"text of {job.filename}"]))
            done.append(job)
        return done

    with ThreadPoolExecutor(6) as pool:
        jobs = [job for done in pool.map(work, range(6)) for job in done]
    assert sorted(job.file_id for job in jobs) == sorted(ids)
    assert all(job.attempts == 1 for job in jobs)
    assert len(stores[0].lexical(jobs[0].store_id, "text", 100)) == 40
