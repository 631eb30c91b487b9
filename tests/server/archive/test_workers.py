"""What a dead process has left goes to others at once, in SQLite and PostgreSQL, and what the living hold stays theirs."""

from collections.abc import Callable

from retrieval.records import NewMember
from server.archive.api import StoredResponse
from server.archive.batches.records import LeaseLost, NewBatch
from tests.retrieval.filling import new_store, put
from tests.server.archive.conftest import Process

Start = Callable[[], Process]


def queued(process: Process, name: str) -> str:
    """A file in a store of its own."""
    file = put(process.store)
    process.store.add_members("", new_store(process.store, name=name), [NewMember(file_id=file)])
    return file


def put_response(process: Process, id: str, worker: str) -> None:
    made = {"created_at": 1, "previous": None, "conversation": None, "body": {}, "input": []}
    new = StoredResponse(id=id, owner="me", status="queued", background=True, **made)
    process.archive.put_response(new, worker=worker)


def create_batch(process: Process) -> str:
    given = {"endpoint": "/v1/responses", "completion_window": "24h", "lifetime": 86_400, "output_expires_after": None}
    return process.archive.create_batch(NewBatch(owner="me", input_file_id="file-1", metadata={}, **given)).id


def test_each_says_that_it_is_alive(start: Start) -> None:
    one, two = start().archive, start().archive
    assert one.beat(["one", "one:files"]) == {}
    assert two.beat(["two"]) == {"one": 1, "one:files": 1}
    assert one.beat(["one", "one:files"]) == {"two": 1} and two.beat(["two"]) == {"one": 2, "one:files": 2}
    assert two.abandon("one") and not two.abandon("one") and not one.abandon("one")
    assert two.beat(["two"]) == {"one:files": 2}
    assert one.beat(["one", "one:files"]) == {"two": 3} and two.beat(["two"]) == {"one": 1, "one:files": 3}


def test_what_the_dead_have_left_is_taken_over(start: Start) -> None:
    dead, alive = start(), start()
    dead.archive.beat(["a_1"])
    file = queued(dead, "left")
    left = dead.store.claim("a_1", 30)
    put_response(dead, "resp_new", "a_1")  # nobody has begun
    put_response(dead, "resp_begun", "a_1")
    assert left is not None and dead.archive.acquire_lease("resp_begun", "a_1", 30)
    batch = create_batch(dead)
    assert dead.archive.claim_batch("a_1", 30) is not None
    assert alive.store.claim("b", 30) is None and alive.archive.claim_abandoned("b") == [] and alive.archive.claim_batch("b", 30) is None

    assert alive.archive.abandon("a_1")
    assert (job := alive.store.claim("b", 30)) is not None and (job.file_id, job.attempts) == (file, 2)
    assert {one.id for one in alive.archive.claim_abandoned("b")} == {"resp_new", "resp_begun"}
    assert (taken := alive.archive.claim_batch("b", 30)) is not None and taken.id == batch
    assert not dead.store.report(left, "embedding", 0.5, 30) and not dead.archive.acquire_lease("resp_begun", "a_1", 30)
    try:
        dead.archive.renew_batch(batch, "a_1", 30)
    except LeaseLost:
        return
    raise AssertionError("two work on one batch")


def test_who_was_taken_for_dead_goes_on_where_nobody_was_faster(start: Start) -> None:
    slow, other = start(), start()
    slow.archive.beat(["slow"])
    queued(slow, "kept")
    job = slow.store.claim("slow", 30)
    put_response(slow, "resp_1", "slow")
    assert other.archive.abandon("slow") and job is not None
    assert slow.store.report(job, "embedding", 0.5, 30) and slow.archive.acquire_lease("resp_1", "slow", 30)
    assert other.store.claim("other", 30) is None and other.archive.claim_abandoned("other") == []


def test_what_others_hold_stays_theirs(start: Start) -> None:
    """Not even where a name is the beginning of another, or reads like a pattern."""
    one, two = start(), start()
    for name in ("a_1", "a_12", "ab1", "a%"):
        one.archive.beat([name])
    for number, name in enumerate(("a_12", "ab1", "a_1x/y")):
        queued(one, name)
        assert one.store.claim(name, 30) is not None
        put_response(one, f"resp_{number}", name)
    done = queued(one, "done")
    assert (job := one.store.claim("a_1", 30)) is not None and job.file_id == done and one.store.fail(job, "server_error", "no")
    assert two.archive.abandon("a_1") and two.archive.abandon("a%")
    assert two.store.claim("two", 30) is None and two.archive.claim_abandoned("two") == []


def test_tools_are_pinned_for_all(start: Start) -> None:
    one, two = start().archive, start().archive
    assert one.pinned_tools("x") is None and one.pin_tools_first("x", {"a": "1"}) == two.pin_tools_first("x", {"a": "2"}) == {"a": "1"}
    two.pin_tools("x", {"b": "3"})
    two.pin_tools("y", {})
    assert one.pinned_tools("x") == {"b": "3"} and one.pinned_tools("y") == {}
