"""The archive, in SQLite and PostgreSQL."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, func, select, update

from retrieval.api import Conflict, KnowledgeError, NotFound
from retrieval.records import PageRequest
from retrieval.store import StoreOptions, open_store
from retrieval.store.api import Store
from retrieval.store.schema import facts
from server.archive.api import ApprovalRequestRecord, StoredCompletion, StoredResponse
from server.archive.database import DatabaseArchive, open_archive
from server.archive.schema import (
    METADATA,
    SCHEMA_VERSION,
    VERSION_FACT,
    approval_requests,
    completion_labels,
    conversation_items,
    decisions,
    response_events,
    responses,
)
from tests.retrieval.postgres_server import PostgresServer, postgres_server
from tests.server.archive.archive_writer import write

ROOT = Path(__file__).parents[3]
Open = Callable[[], DatabaseArchive]


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "stoa.db") if request.param == "sqlite" else request.getfixturevalue("postgres").schema()


@pytest.fixture
def opener(where: str, clock: Clock) -> Iterator[Open]:
    """Opens the database once more, as another process would."""
    opened: list[Store] = []

    def open_again() -> DatabaseArchive:
        opened.append(open_store(where, StoreOptions()))
        return open_archive(opened[-1].transactions, clock)

    yield open_again
    for store in opened:
        store.close()


@pytest.fixture
def archive(opener: Open) -> DatabaseArchive:
    return opener()


def response(id: str, **given: Any) -> StoredResponse:
    plain: dict[str, Any] = {"owner": "me", "created_at": 1, "status": "completed", "background": False, "previous": None}
    return StoredResponse(**{**plain, "id": id, "conversation": None, "body": {"id": id}, "input": [{"id": f"in_{id}"}], **given})


def completion(id: str, **given: Any) -> StoredCompletion:
    plain: dict[str, Any] = {"owner": "me", "created_at": 1, "model": "tiny", "metadata": {}, "messages": [{"id": "msg_1"}]}
    return StoredCompletion(**{**plain, "id": id, "body": {"id": id}, **given})


def rows(archive: DatabaseArchive, table: Table) -> int:
    with archive._transactions.reading() as tx:
        return tx.execute(select(func.count()).select_from(table)).scalar_one()


# responses


def test_a_response_is_kept_and_belongs_to_its_owner(opener: Open) -> None:
    archive, made = opener(), response("resp_1", body={"z": 1, "a": [None, 1.5, "é\u2028"]})
    archive.put_response(made)
    assert opener().response("me", "resp_1") == made
    assert list(archive.response("me", "resp_1").body) == ["z", "a"]
    for owner, id in (("you", "resp_1"), ("", "resp_1"), ("me", "resp_2")):
        for work in (archive.response, archive.delete_response, archive.chain, lambda o, i: archive.events(o, i, -1)):
            with pytest.raises(NotFound, match=id):
                work(owner, id)
    assert not archive.finish_response("you", "resp_1", "failed", {})
    archive.delete_response("me", "resp_1")
    with pytest.raises(NotFound):
        opener().response("me", "resp_1")


def test_a_response_is_finished_once(archive: DatabaseArchive) -> None:
    archive.put_response(response("resp_1", status="queued", background=True))
    assert archive.finish_response("me", "resp_1", "in_progress", {"n": 1})
    assert archive.response("me", "resp_1").status == "in_progress"
    assert archive.finish_response("me", "resp_1", "cancelled", {"n": 2})
    assert not archive.finish_response("me", "resp_1", "completed", {"n": 3})
    assert archive.response("me", "resp_1").body == {"n": 2}
    archive.delete_response("me", "resp_1")
    assert not archive.finish_response("me", "resp_1", "completed", {})


def test_a_chain_is_whole_or_not_found(archive: DatabaseArchive) -> None:
    previous = None
    for number in range(30):
        archive.put_response(response(f"resp_{number}", previous=previous))
        previous = f"resp_{number}"
    assert [one.id for one in archive.chain("me", "resp_29")] == [f"resp_{n}" for n in range(30)]
    assert [one.id for one in archive.chain("me", "resp_0")] == ["resp_0"]
    archive.delete_response("me", "resp_7")
    with pytest.raises(NotFound, match="resp_7"):
        archive.chain("me", "resp_29")
    assert len(archive.chain("me", "resp_6")) == 7


def test_a_chain_does_not_leave_its_owner(archive: DatabaseArchive) -> None:
    archive.put_response(response("resp_theirs", owner="you"))
    archive.put_response(response("resp_mine", previous="resp_theirs"))
    with pytest.raises(NotFound, match="resp_theirs"):
        archive.chain("me", "resp_mine")


def test_items_go_to_the_conversation_with_the_response(archive: DatabaseArchive) -> None:
    conversation = archive.create_conversation("me", {}, [{"id": "a"}]).id
    archive.put_response(response("resp_1", status="in_progress", conversation=conversation), [{"id": "b"}, {"id": "a", "again": 1}])
    assert archive.finish_response("me", "resp_1", "completed", {}, [{"id": "c"}])
    assert not archive.finish_response("me", "resp_1", "completed", {}, [{"id": "d"}])
    assert archive.all_items("me", conversation) == [{"id": "a"}, {"id": "b"}, {"id": "c"}]
    archive.extend_conversation("me", conversation, [{"id": "c", "again": 1}, {"id": "d"}])
    archive.extend_conversation("you", conversation, [{"id": "not mine"}])
    assert archive.all_items("me", conversation) == [{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}]
    archive.put_response(response("resp_3", status="in_progress", conversation=conversation))
    archive.delete_conversation("me", conversation)
    assert archive.finish_response("me", "resp_3", "completed", {}, [{"id": "f"}])
    archive.put_response(response("resp_2", conversation=conversation), [{"id": "e"}])  # and so does one that is put there whole
    assert archive.response("me", "resp_2").conversation == conversation
    archive.extend_conversation("me", conversation, [{"id": "g"}])


def test_events_have_no_gap_and_go_with_their_response(archive: DatabaseArchive) -> None:
    archive.put_response(response("resp_1", status="queued", background=True))
    archive.append_events("resp_1", 0, ['{"n":0}', '{"n":1}'])
    archive.append_events("resp_1", 2, ['{"n":2}'])
    archive.append_events("resp_1", 3, [])
    archive.append_events("resp_1", 1, ['{"n":1}', '{"n":2}'])  # by a writer who does not know that it has succeeded
    assert archive.events("me", "resp_1", -1) == [(0, '{"n":0}'), (1, '{"n":1}'), (2, '{"n":2}')]
    assert archive.events("me", "resp_1", 1) == [(2, '{"n":2}')]
    assert archive.finish_response("me", "resp_1", "cancelled", {})
    archive.append_events("resp_1", 3, ['{"n":3}'])  # by a writer who has not noticed
    assert len(archive.events("me", "resp_1", -1)) == 3
    archive.delete_response("me", "resp_1")
    assert rows(archive, response_events) == 0
    with pytest.raises(NotFound):
        archive.append_events("resp_1", 3, ["{}"])


def test_an_approval_is_answered_once(opener: Open) -> None:
    archive = opener()
    decide = archive.record_decisions
    assert decide("me", ["a", "b"]) == set() == decide("you", ["a"]) == decide("me", [])
    assert decide("me", ["c", "b"]) == {"b"} and decide("me", ["c"]) == set()
    assert decide("me", ["e", "e"]) == set() and decide("me", ["e"]) == {"e"}
    archives = [opener() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda n: archives[n % 3].record_decisions("me", [f"d{n // 3}"]), range(30)))
    assert sum(not used for used in answers) == 10


def test_what_was_asked_is_known_to_who_was_asked(opener: Open) -> None:
    mine, yours = (ApprovalRequestRecord(approval_id=id, server_label="files", tool_name="write", arguments_digest="ab") for id in "ab")
    opener().put_approval_request("me", mine)
    opener().put_approval_request("you", yours)
    found = opener().approval_requests
    assert found("me", ["a", "b", "c"]) == {"a": mine} and opener().approval_requests("you", ["a"]) == found("me", []) == {}


def test_what_a_dead_process_leaves_goes_to_one_other(opener: Open, clock: Clock) -> None:
    dead, alive = opener(), opener()
    for id, given in {"resp_1": {}, "resp_2": {}, "resp_3": {}, "resp_4": {"background": False}}.items():
        dead.put_response(response(id, status="queued", **{"background": True, **given}))
    assert dead.acquire_lease("resp_1", "dead", 30) and dead.acquire_lease("resp_1", "dead", 30)
    assert not alive.acquire_lease("resp_1", "alive", 30)
    assert dead.finish_response("me", "resp_1", "in_progress", {}) and dead.finish_response("me", "resp_3", "completed", {})
    assert alive.claim_abandoned("alive") == []
    clock.now += 31
    assert [one.id for one in alive.claim_abandoned("alive")] == ["resp_1"]
    assert not dead.acquire_lease("resp_1", "dead", 30) and alive.acquire_lease("resp_1", "alive", 30)
    clock.now += 30
    assert {one.id for one in alive.claim_abandoned("alive")} == {"resp_2"}  # stored, and nobody ever began
    assert alive.finish_response("me", "resp_1", "failed", {}) and not alive.acquire_lease("resp_1", "alive", 30)
    assert not alive.acquire_lease("resp_4", "alive", 30)
    clock.now += 1000
    assert {one.id for one in dead.claim_abandoned("dead")} == {"resp_2"}


def test_two_take_over_nothing_twice(opener: Open, clock: Clock) -> None:
    archives = [opener() for _ in range(3)]
    for number in range(20):
        archives[0].put_response(response(f"resp_{number}", status="queued", background=True))
    clock.now += 100
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda one: [r.id for r in one[1].claim_abandoned(f"w{one[0]}")], enumerate(archives)))
    assert sorted(id for ids in found for id in ids) == sorted(f"resp_{number}" for number in range(20))


# conversations


def test_a_conversation_from_birth_to_death(opener: Open) -> None:
    archive = opener()
    made = archive.create_conversation("me", {"k": "v"}, [{"id": "a", "n": 1}, {"id": "b"}])
    assert made.id.startswith("conv_") and made.created_at == 1_700_000_000
    assert opener().conversation("me", made.id) == made
    archive.add_items("me", made.id, [{"id": "c"}])
    assert archive.item("me", made.id, "a") == {"id": "a", "n": 1}
    assert archive.change_conversation("me", made.id, {}) == replace(made, metadata={})
    archive.delete_item("me", made.id, "a")
    with pytest.raises(NotFound, match="item 'a'"):
        archive.item("me", made.id, "a")
    with pytest.raises(NotFound):
        archive.delete_item("me", made.id, "a")
    assert [item["id"] for item in archive.all_items("me", made.id)] == ["b", "c"]
    archive.delete_conversation("me", made.id)
    assert rows(archive, conversation_items) == 0


def test_another_finds_no_conversation(archive: DatabaseArchive) -> None:
    id = archive.create_conversation("me", {}, [{"id": "a"}]).id
    attempts: list[Callable[[], object]] = [
        lambda: archive.conversation("you", id),
        lambda: archive.change_conversation("you", id, {}),
        lambda: archive.delete_conversation("you", id),
        lambda: archive.add_items("you", id, [{"id": "b"}]),
        lambda: archive.items("you", id, PageRequest()),
        lambda: archive.all_items("you", id),
        lambda: archive.item("you", id, "a"),
        lambda: archive.delete_item("you", id, "a"),
    ]
    for attempt in attempts:
        with pytest.raises(NotFound, match="conversation"):
            attempt()
    assert archive.all_items("me", id) == [{"id": "a"}]


def test_items_are_listed_in_pages(archive: DatabaseArchive) -> None:
    id = archive.create_conversation("me", {}, [{"id": f"i{n}"} for n in range(5)]).id
    archive.create_conversation("me", {}, [{"id": "i0"}])

    def ids(**given: Any) -> tuple[list[str], bool]:
        page = archive.items("me", id, PageRequest(**given))
        return [item["id"] for item in page.items], page.more

    assert ids(limit=2) == (["i4", "i3"], True)
    assert ids(limit=2, after="i3") == (["i2", "i1"], True)
    assert ids(limit=9, order="asc", after="i1") == (["i2", "i3", "i4"], False)
    assert ids(limit=1, order="asc", before="i2") == (["i1"], True)
    with pytest.raises(NotFound, match="item"):
        ids(after="i9")


def test_an_item_is_there_once(archive: DatabaseArchive) -> None:
    with pytest.raises(Conflict, match="'a'"):
        archive.create_conversation("me", {}, [{"id": "a"}, {"id": "a"}])
    id = archive.create_conversation("me", {}, [{"id": "a"}]).id
    with pytest.raises(Conflict, match="'a'"):
        archive.add_items("me", id, [{"id": "b"}, {"id": "a"}])
    assert archive.all_items("me", id) == [{"id": "a"}]


# chat completions


def test_a_completion_from_birth_to_death(opener: Open) -> None:
    archive, made = opener(), completion("chatcmpl-1", metadata={"k": "v"})
    archive.put_completion(made)
    assert opener().completion("me", "chatcmpl-1") == made
    assert archive.change_completion("me", "chatcmpl-1", {"a": "b"}).metadata == {"a": "b"}
    for work in (archive.completion, archive.delete_completion, lambda o, i: archive.change_completion(o, i, {})):
        with pytest.raises(NotFound, match="chat completion"):
            work("you", "chatcmpl-1")
    archive.delete_completion("me", "chatcmpl-1")
    assert rows(archive, completion_labels) == 0
    with pytest.raises(NotFound):
        archive.completion("me", "chatcmpl-1")


def test_completions_are_found_by_model_and_metadata(archive: DatabaseArchive) -> None:
    odd = "\"'$.%_;--"
    archive.put_completion(completion("c1", metadata={"a": "1", odd: "x"}))
    archive.put_completion(completion("c2", metadata={"a": "1", "b": "2"}, model="other"))
    archive.put_completion(completion("c3", metadata={"a": "2"}))
    archive.put_completion(completion("c4", owner="you", metadata={"a": "1"}))

    def ids(listing: PageRequest | None = None, **given: Any) -> list[str]:
        return [one.id for one in archive.completions("me", listing or PageRequest(), **given).items]

    assert ids() == ["c3", "c2", "c1"]
    assert ids(PageRequest(order="asc", after="c1", limit=1)) == ["c2"]
    assert ids(metadata={"a": "1"}) == ["c2", "c1"]
    assert ids(metadata={"a": "1", "b": "2"}) == ["c2"] == ids(model="other")
    assert ids(metadata={odd: "x"}) == ["c1"] and ids(metadata={"a": "%"}) == []
    archive.change_completion("me", "c1", {"a": "3"})
    assert ids(metadata={"a": "1"}) == ["c2"] and ids(metadata={"a": "3"}) == ["c1"]
    with pytest.raises(NotFound):
        ids(PageRequest(after="c4"))


# the database


def test_a_newer_archive_is_left_alone(opener: Open) -> None:
    archive = opener()
    with archive._transactions.writing() as tx:
        tx.execute(update(facts).where(facts.c.name == VERSION_FACT).values(value=str(SCHEMA_VERSION + 1)))
    with pytest.raises(KnowledgeError, match="newer"):
        opener()


@pytest.mark.parametrize("schema", [1, 2])
def test_an_older_archive_is_brought_here(opener: Open, schema: int) -> None:
    archive = opener()
    archive.put_response(response("resp_1"))
    with archive._transactions.writing() as tx:
        for table in (decisions, approval_requests)[schema - 1 :]:
            table.drop(tx)
        tx.execute(update(facts).where(facts.c.name == VERSION_FACT).values(value=str(schema)))
    again = opener()
    assert (
        again.response("me", "resp_1").id == "resp_1"
        and again.record_decisions("me", ["a"]) == set()
        and again.approval_requests("me", ["a"]) == {}
    )
    with again._transactions.reading() as tx:
        assert tx.execute(select(facts.c.value).where(facts.c.name == VERSION_FACT)).scalar_one() == str(SCHEMA_VERSION)


def test_many_open_it_and_write_at_once(opener: Open) -> None:
    with ThreadPoolExecutor(4) as pool:
        archives = list(pool.map(lambda _: opener(), range(4)))
        list(pool.map(lambda n: write(archives[n % 4], n), range(40)))
    assert rows(archives[0], METADATA.tables["responses"]) == 40 == rows(archives[0], METADATA.tables["completions"])


def test_what_was_acknowledged_outlives_kill_9(where: str) -> None:
    done, first = dict[int, str](), 0
    for _ in range(2):
        command = [sys.executable, "-m", "tests.server.archive.archive_writer", where, str(first)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline()]
            time.sleep(0.1)
            process.kill()
            lines += process.stdout.read().splitlines()
        done |= {int(number): id for number, id in (line.split() for line in lines if len(line.split()) == 2)}
        first = max(done) + 2  # the one that was begun may be there in part
    store = open_store(where, StoreOptions())
    archive = open_archive(store.transactions)
    for number, conversation in done.items():
        assert archive.all_items("", conversation) == [{"id": f"msg_{number}"}, {"id": f"in_{number}"}, {"id": f"out_{number}"}]
        assert archive.response("", f"resp_{number}").status == "completed"
        assert len(archive.events("", f"resp_{number}", -1)) == 2
        assert archive.completions("", PageRequest(), metadata={"n": str(number)}).items[0].id == f"chatcmpl_{number}"
    assert len(done) >= 2 and dangling(archive) == [] and torn(archive) == []
    store.close()


def torn(archive: DatabaseArchive) -> list[str]:
    """Ids of responses that were written in part: finished, but without their items in the conversation; or unfinished, with them."""
    with archive._transactions.reading() as tx:
        kept = tx.execute(select(responses.c.id, responses.c.status, responses.c.conversation)).all()
    said = {row.id: {item["id"] for item in archive.all_items("", row.conversation)} for row in kept}
    return [row.id for row in kept if (f"out_{row.id.removeprefix('resp_')}" in said[row.id]) != (row.status == "completed")]


def dangling(archive: DatabaseArchive) -> list[str]:
    """Tables that have rows whose foreign key points to no row."""
    found: list[str] = []
    for table in METADATA.tables.values():
        for key in table.foreign_keys:
            lost = select(func.count()).select_from(table).where(key.parent.not_in(select(key.column)))
            with archive._transactions.reading() as tx:
                if tx.execute(lost).scalar_one():
                    found.append(table.name)
    return found
