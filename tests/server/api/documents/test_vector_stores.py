"""/v1/vector_stores: stores, their files, batches, searches and passages, over a real store."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from server.runtime.knowledge_base import KnowledgeBase
from tests.server.fake_knowledge import knowledge, settle
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
ENGINE = FakeEngine(says("Hi.", TEXT))
SEA, LAMP = "The sea is deep and blue.\nWhales swim in it.\nSalt makes it heavy.", "A lamp gives light.\nOil feeds it."


@dataclass
class World:
    app: Any
    known: KnowledgeBase
    key: str | None = None

    def call(self, method: str, path: str, status: int = 200, **given: Any) -> Any:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        answer: httpx.Response = ask(self.app, method, f"/v1{path}", headers=headers, **given)
        assert answer.status_code == status, answer.text
        return answer.json() if status == 200 else answer.json()["error"]

    def post(self, path: str, status: int = 200, /, **body: Any) -> Any:
        return self.call("POST", path, status, json=body)

    def get(self, path: str, status: int = 200, /, **query: Any) -> Any:
        return self.call("GET", path, status, params=query)

    def delete(self, path: str, status: int = 200) -> Any:
        return self.call("DELETE", path, status)

    def upload(self, content: str, name: str = "a.txt") -> str:
        return self.call("POST", "/files", files={"file": (name, content.encode())}, data={"purpose": "assistants"})["id"]

    def store(self, *contents: str, **given: Any) -> str:
        files = [self.upload(content, f"{i}.txt") for i, content in enumerate(contents)]
        id = self.post("/vector_stores", file_ids=files, **given)["id"]
        settle(self.known, id)
        return id

    def search(self, store: str, query: str | list[str], status: int = 200, **given: Any) -> Any:
        return self.post(f"/vector_stores/{store}/search", status, query=query, **given)

    def found(self, store: str, query: str | list[str], **given: Any) -> list[str]:
        return [result["content"][0]["text"] for result in self.search(store, query, **given)["data"]]


@pytest.fixture
def world() -> Iterator[World]:
    known = knowledge()
    yield World(ready(ENGINE, TEXT, known)[0], known)
    known.store.close()


def test_a_store_from_birth_to_death(world: World) -> None:
    made = world.post(
        "/vector_stores", name="kb", description="d", metadata={"k": "v"}, expires_after={"anchor": "last_active_at", "days": 3}
    )
    id = made["id"]
    assert id.startswith("vs_") and made["object"] == "vector_store" and made["status"] == "completed"
    assert (made["name"], made["description"], made["metadata"], made["usage_bytes"]) == ("kb", "d", {"k": "v"}, 0)
    assert made["file_counts"] == {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0}
    assert made["expires_at"] == made["last_active_at"] + 3 * 86_400 and made["expires_after"] == {"anchor": "last_active_at", "days": 3}
    assert world.get(f"/vector_stores/{id}") == made
    changed = world.post(f"/vector_stores/{id}", metadata={"a": "b"}, expires_after=None)
    assert (changed["name"], changed["metadata"], changed["expires_at"]) == ("kb", {"a": "b"}, None) and "expires_after" not in changed
    assert world.post(f"/vector_stores/{id}", name=None)["name"] == ""
    assert world.delete(f"/vector_stores/{id}") == {"id": id, "object": "vector_store.deleted", "deleted": True}
    assert world.get(f"/vector_stores/{id}", 404)["code"] == "vector_store_not_found"


def test_lists(world: World) -> None:
    assert world.get("/vector_stores") == {"object": "list", "data": [], "first_id": "", "last_id": "", "has_more": False}
    ids = [world.post("/vector_stores", name=str(i))["id"] for i in range(5)]
    first = world.get("/vector_stores", limit=2)
    assert [store["id"] for store in first["data"]] == [ids[4], ids[3]] and first["has_more"] and first["first_id"] == ids[4]
    rest = world.get("/vector_stores", after=first["last_id"], order="desc")
    assert [store["id"] for store in rest["data"]] == ids[2::-1] and not rest["has_more"]
    assert [store["id"] for store in world.get("/vector_stores", order="asc", before=ids[2])["data"]] == ids[:2]
    for query in ({"limit": 0}, {"limit": 101}, {"order": "x"}, {"page": 1}, {"after": "a b"}):
        assert world.get("/vector_stores", 400, **query)["param"] == next(iter(query))


def test_files_are_read(world: World) -> None:
    store = world.post("/vector_stores")["id"]
    good, bad = world.upload(SEA, "sea.txt"), world.upload("broken", "bad.txt")
    added = world.post(f"/vector_stores/{store}/files", file_id=good, attributes={"year": 2026, "new": True, "by": "me", "share": 0.5})
    assert (added["id"], added["vector_store_id"], added["status"], added["state"]) == (good, store, "in_progress", "queued")
    assert added["last_error"] is None and added["filename"] == "sea.txt" and added["chunking_strategy"] == {"type": "other"}
    world.post(f"/vector_stores/{store}/files", file_id=bad)
    assert world.get(f"/vector_stores/{store}")["status"] == "in_progress"
    settle(world.known, store)
    done = world.get(f"/vector_stores/{store}/files/{good}")
    assert done["status"] == "completed" and done["state"] == "ready" and done["usage_bytes"] > 0
    assert done["attributes"] == {"year": 2026, "new": True, "by": "me", "share": 0.5}
    failed = world.get(f"/vector_stores/{store}/files/{bad}")
    assert failed["status"] == "failed" and failed["last_error"] == {"code": "invalid_file", "message": "the file is broken"}
    whole = world.get(f"/vector_stores/{store}")
    assert whole["status"] == "completed" and whole["file_counts"] == {
        "in_progress": 0,
        "completed": 1,
        "failed": 1,
        "cancelled": 0,
        "total": 2,
    }
    assert whole["embedding_model"] == "words" and whole["usage_bytes"] == done["usage_bytes"] + failed["usage_bytes"]
    for status, ids in (("completed", [good]), ("failed", [bad]), ("in_progress", []), ("cancelled", [])):
        assert [file["id"] for file in world.get(f"/vector_stores/{store}/files", filter=status)["data"]] == ids
    assert world.get(f"/vector_stores/{store}/files", 400, filter="done")["param"] == "filter"


def test_members_change_and_go(world: World) -> None:
    store = world.store(SEA)
    (file,) = (member["id"] for member in world.get(f"/vector_stores/{store}/files")["data"])
    path = f"/vector_stores/{store}/files/{file}"
    assert world.post(path, attributes={"a": 1})["attributes"] == {"a": 1} == world.get(path)["attributes"]
    assert world.post(path, attributes=None)["attributes"] == {}
    assert world.post(path, 400)["param"] == "attributes"
    assert world.get(f"{path}/content")["data"] == [{"type": "text", "text": SEA}]
    assert world.delete(path) == {"id": file, "object": "vector_store.file.deleted", "deleted": True}
    assert world.get(path, 404)["code"] == "file_of_this_vector_store_not_found"
    assert world.found(store, "sea") == [] and world.get(f"/files/{file}")["filename"] == "0.txt"


def test_a_store_is_made_with_all_its_files_or_not_at_all(world: World) -> None:
    file = world.upload(SEA)
    assert world.post("/vector_stores", 404, file_ids=[file, "file-0"])["code"] == "file_not_found"
    assert world.get("/vector_stores")["data"] == []
    made = world.post("/vector_stores", file_ids=[file, file])
    assert made["file_counts"]["total"] == 1 and made["status"] == "in_progress"


def test_batches(world: World) -> None:
    store = world.post("/vector_stores")["id"]
    one, two, bad = world.upload(SEA), world.upload(LAMP), world.upload("broken")
    path = f"/vector_stores/{store}/file_batches"
    batch = world.post(path, file_ids=[one, bad], attributes={"kind": "x"})
    assert batch["id"].startswith("vsfb_") and batch["object"] == "vector_store.files_batch" and batch["status"] == "in_progress"
    second = world.post(path, files=[{"file_id": two, "attributes": {"kind": "y"}}])
    settle(world.known, store)
    done = world.get(f"{path}/{batch['id']}")
    assert done["status"] == "completed" and done["file_counts"] | {} == {
        "in_progress": 0, "completed": 1, "failed": 1, "cancelled": 0, "total": 2,
    }  # fmt: skip
    assert {file["id"] for file in world.get(f"{path}/{batch['id']}/files")["data"]} == {one, bad}
    assert [file["attributes"] for file in world.get(f"{path}/{second['id']}/files", filter="completed")["data"]] == [{"kind": "y"}]
    assert world.get(f"{path}/vsfb_0", 404)["code"] == "file_batch_not_found" == world.get(f"{path}/vsfb_0/files", 404)["code"]


def test_a_batch_is_cancelled(world: World) -> None:
    store, file = world.post("/vector_stores")["id"], world.upload(SEA)
    path = f"/vector_stores/{store}/file_batches"
    batch = world.post(path, file_ids=[file])["id"]
    cancelled = world.call("POST", f"{path}/{batch}/cancel")
    assert cancelled["status"] == "cancelled" and cancelled["file_counts"]["cancelled"] == 1
    assert world.get(f"/vector_stores/{store}/files/{file}")["status"] == "cancelled"


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "file_ids"), ({"file_ids": ["a"], "files": [{"file_id": "a"}]}, "file_ids"), ({"file_ids": []}, "file_ids"),
     ({"file_ids": ["a"] * 2001}, "file_ids"), ({"files": [{"file_id": "a"}], "attributes": {}}, "attributes"),
     ({"files": [{"file_id": "a"}], "chunking_strategy": {"type": "auto"}}, "chunking_strategy"),
     ({"files": [{"file_id": "a"}, {"file_id": "a"}]}, "files.1.file_id"), ({"files": [{"id": "a"}]}, "files.0.file_id")],
)  # fmt: skip
def test_batches_are_refused_by_field(world: World, body: dict[str, Any], param: str) -> None:
    store = world.post("/vector_stores")["id"]
    assert world.post(f"/vector_stores/{store}/file_batches", 400, **body)["param"] == param


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [("", {"file_ids": ["file-none"]}, "file_ids"), ("/{}/files", {"file_id": "file-none"}, "file_id"),
     ("/{}/file_batches", {"file_ids": ["file-none"]}, "file_ids"), ("/{}/file_batches", {"files": [{"file_id": "file-none"}]}, "files")],
)  # fmt: skip
def test_a_file_that_there_is_not_is_refused_by_field(world: World, path: str, body: dict[str, Any], param: str) -> None:
    store = world.post("/vector_stores")["id"]
    error = world.post(f"/vector_stores{path.format(store)}", 404, **body)
    assert (error["param"], error["code"]) == (param, "file_not_found") and "file-none" in error["message"]


def test_of_a_unions_complaints_the_one_about_the_value_is_told(world: World) -> None:
    assert world.search(world.post("/vector_stores")["id"], [], 400)["code"] == "too_short"


@pytest.mark.parametrize(
    ("body", "param"),
    [({"name": "x" * 257}, "name"), ({"metadata": {str(i): "" for i in range(17)}}, "metadata"), ({"metadata": {"k" * 65: ""}}, "metadata"),
     ({"metadata": {"k": "v" * 513}}, "metadata.k"), ({"metadata": {"k": 5}}, "metadata.k"), ({"name": "a\x00"}, "name"),
     ({"expires_after": {"anchor": "last_active_at", "days": 366}}, "expires_after.days"),
     ({"expires_after": {"days": 1}}, "expires_after.anchor"),
     ({"expires_after": {"anchor": "created_at", "days": 1}}, "expires_after.anchor"), ({"file_ids": ["a"] * 501}, "file_ids"),
     ({"chunking_strategy": {"type": "auto"}}, "chunking_strategy"), ({"model": "x"}, "model")],
)  # fmt: skip
def test_stores_are_refused_by_field(world: World, body: dict[str, Any], param: str) -> None:
    assert world.post("/vector_stores", 400, **body)["param"].startswith(param)


@pytest.mark.parametrize(
    ("body", "param"),
    [({}, "file_id"), ({"file_id": "a b"}, "file_id"), ({"attributes": {"k": [1]}}, "attributes.k"),
     ({"attributes": {"k": None}}, "attributes.k"),
     ({"attributes": {"k": "v" * 513}}, "attributes.k"), ({"attributes": {"k": 2**60}}, "attributes.k"),
     ({"attributes": {"": 1}}, "attributes"),
     ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 99, "chunk_overlap_tokens": 0}}}, "chunking_strategy"),
     ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 4097, "chunk_overlap_tokens": 0}}}, "chunking_strategy"),
     ({"chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51}}}, "chunking_strategy"),
     ({"chunking_strategy": {"type": "static"}}, "chunking_strategy"), ({"chunking_strategy": {"type": "smart"}}, "chunking_strategy")],
)  # fmt: skip
def test_files_are_refused_by_field(world: World, body: dict[str, Any], param: str) -> None:
    store = world.post("/vector_stores")["id"]
    given = {"file_id": "file-0", **body} if body else {}
    assert world.post(f"/vector_stores/{store}/files", 400, **given)["param"].startswith(param)


def test_chunks_are_as_large_as_was_asked(world: World) -> None:
    long = "\n".join(" ".join(f"word{i}x{j}" for j in range(20)) for i in range(20))
    static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
    small = world.store(long, chunking_strategy={"type": "static", "static": static})
    (member,) = world.get(f"/vector_stores/{small}/files")["data"]
    assert member["chunking_strategy"] == {"type": "static", "static": static}
    sizes = [len(text.split()) for text in world.found(small, "word0x0 word19x19", max_num_results=50)]
    assert len(sizes) >= 4 and max(sizes) <= 100


def test_search(world: World) -> None:
    store = world.store(SEA, LAMP)
    answer = world.search(store, "what gives light")
    assert answer["object"] == "vector_store.search_results.page" and answer["search_query"] == ["what gives light"]
    assert not answer["has_more"] and answer["next_page"] is None
    best = answer["data"][0]
    assert best["filename"] == "1.txt" and "lamp gives light" in best["content"][0]["text"] and best["attributes"] == {}
    assert LAMP[best["start"] : best["end"]] == best["content"][0]["text"] and best["page"] == 1 and best["headings"] == []
    scores = [result["score"] for result in answer["data"]]
    assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
    assert len(world.found(store, "light", max_num_results=1)) == 1
    several = world.search(store, ["lamp", "whales"], max_num_results=2)
    assert several["search_query"] == ["lamp", "whales"] and {result["filename"] for result in several["data"]} == {"0.txt", "1.txt"}
    assert world.found(store, "light", ranking_options={"score_threshold": 1}) == []
    assert world.search(store, "light", rewrite_query=True)["search_query"] == ["light"]  # it stands on its own
    followed = world.search(store, ["Where is the lamp?", "And the whales?"], rewrite_query=True)["search_query"]
    assert followed[:2] == ["Where is the lamp?", "And the whales?"] and len(followed) == 3


def test_search_by_attributes(world: World) -> None:
    store = world.post("/vector_stores")["id"]
    for year, name in ((2024, "old"), (2026, "new")):
        world.post(f"/vector_stores/{store}/files", file_id=world.upload(SEA, f"{name}.txt"), attributes={"year": year, "name": name})
    settle(world.known, store)

    def names(**filters: Any) -> set[str]:
        return {result["filename"] for result in world.search(store, "sea", filters=filters)["data"]}

    best = world.search(store, "sea", filters={"type": "eq", "key": "year", "value": 2024})["data"][0]
    assert repr(best["attributes"]["year"]) == "2024"  # not 2024.0
    assert names(type="gt", key="year", value=2024) == {"new.txt"} == names(type="ne", key="name", value="old")
    assert names(type="in", key="name", value=["old", "new"]) == {"old.txt", "new.txt"}
    either = [{"type": "eq", "key": "year", "value": 2024}, {"type": "nin", "key": "name", "value": ["new"]}]
    assert names(type="and", filters=either) == {"old.txt"} == names(type="or", filters=either)
    assert names(type="eq", key="nothing", value=True) == set()


@pytest.mark.parametrize(
    ("body", "param"),
    [({"query": ""}, "query"), ({"query": []}, "query"), ({"query": ["a"] * 17}, "query"), ({"max_num_results": 0}, "max_num_results"),
     ({"max_num_results": 51}, "max_num_results"), ({"limit": 5}, "limit"),
     ({"ranking_options": {"ranker": "best"}}, "ranking_options.ranker"), ({"ranking_options": {"score_threshold": 2}}, "ranking_options"),
     ({"ranking_options": {"hybrid_search": {"embedding_weight": 0, "text_weight": 0}}}, "ranking_options.hybrid_search"),
     ({"filters": {"type": "in", "key": "a", "value": 1}}, "filters.value"),
     ({"filters": {"type": "eq", "key": "a", "value": [1]}}, "filters.value"),
     ({"filters": {"type": "gt", "key": "a", "value": True}}, "filters.value"),
     ({"filters": {"type": "like", "key": "a", "value": 1}}, "filters"),
     ({"filters": {"type": "and", "filters": []}}, "filters.filters"), ({"filters": {"type": "eq", "key": "a"}}, "filters.value")],
)  # fmt: skip
def test_searches_are_refused_by_field(world: World, body: dict[str, Any], param: str) -> None:
    store = world.post("/vector_stores")["id"]
    assert world.post(f"/vector_stores/{store}/search", 400, **{"query": "x", **body})["param"].startswith(param)


def test_filters_may_not_be_nested_without_end(world: World) -> None:
    store = world.post("/vector_stores")["id"]
    for depth, status in ((8, 200), (9, 400), (150, 400), (5000, 400)):
        nested = '{"type":"and","filters":[' * depth + '{"type":"eq","key":"a","value":1}' + "]}" * depth
        body = f'{{"query":"x","filters":{nested}}}'.encode()
        answer = ask(world.app, "POST", f"/v1/vector_stores/{store}/search", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == status, depth


def test_an_expired_store_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store = world.store(SEA, expires_after={"anchor": "last_active_at", "days": 1})
    later = world.get(f"/vector_stores/{store}")["expires_at"] + 1
    monkeypatch.setattr("time.time", lambda: later)
    assert world.get(f"/vector_stores/{store}")["status"] == "expired"
    assert world.search(store, "sea", 400)["code"] == "vector_store_expired"


def test_passages_can_be_opened(world: World) -> None:
    long = "\n".join(f"Sentence number{i} is about topic{i}. " + "And so on it goes. " * 5 for i in range(9))
    store = world.store(long)
    hit = world.search(store, "topic4")["data"][0]
    chunk = world.get(f"/vector_stores/{store}/chunks/{hit['chunk_id']}")
    assert chunk["text"] == hit["content"][0]["text"] == long[chunk["start"] : chunk["end"]] and "topic4" in chunk["text"]
    assert (chunk["file_id"], chunk["filename"], chunk["object"]) == (hit["file_id"], "0.txt", "vector_store.chunk")
    before, after = (world.get(f"/vector_stores/{store}/chunks/{chunk[side]['id']}") for side in ("before", "after"))
    assert before["ordinal"] + 1 == chunk["ordinal"] == after["ordinal"] - 1 and before["text"] == chunk["before"]["text"]
    passage = world.get(f"/vector_stores/{store}/files/{hit['file_id']}/text", start=chunk["start"], end=chunk["end"])
    assert passage["text"] == chunk["text"] and passage["characters"] == len(long)
    assert world.get(f"/vector_stores/{store}/files/{hit['file_id']}/text")["text"] == long
    for query in ({"start": 5, "end": 4}, {"end": len(long) + 1}):
        assert world.get(f"/vector_stores/{store}/files/{hit['file_id']}/text", 400, **query)["code"] == "out_of_range"
    for id in ("0", "999", "x", "9" * 30):
        assert world.get(f"/vector_stores/{store}/chunks/{id}", 404)["code"] == "chunk_not_found"
    other = world.store(LAMP)
    assert world.get(f"/vector_stores/{other}/chunks/{chunk['id']}", 404)["code"] == "chunk_not_found"


def test_the_text_of_an_unread_file_is_not_there_yet(world: World) -> None:
    store, file = world.post("/vector_stores")["id"], world.upload(SEA)
    world.post(f"/vector_stores/{store}/files", file_id=file)
    assert world.get(f"/vector_stores/{store}/files/{file}/content", 400)["code"] == "conflict"


def test_keys_see_nothing_of_each_other() -> None:
    known = knowledge()
    app, _ = ready(ENGINE, TEXT, known, api_keys=("one", "two"))
    one, two = World(app, known, "one"), World(app, known, "two")
    file, store = one.upload(SEA), one.post("/vector_stores", name="kb")["id"]
    batch = one.post(f"/vector_stores/{store}/file_batches", file_ids=[file])["id"]
    foreign = two.upload(LAMP)
    assert two.get("/vector_stores")["data"] == []
    at = f"/vector_stores/{store}"
    gets = ("", "/files", f"/files/{file}", f"/files/{file}/content", f"/files/{file}/text", f"/file_batches/{batch}", "/chunks/1",
            f"/file_batches/{batch}/files")  # fmt: skip
    for path in gets:
        two.get(at + path, 404)
    for path, body in (("", {"name": "x"}), ("/search", {"query": "sea"}), ("/files", {"file_id": foreign}),
                       ("/file_batches", {"file_ids": [foreign]}), (f"/files/{file}", {"attributes": {}})):  # fmt: skip
        two.post(at + path, 404, **body)
    two.call("POST", f"{at}/file_batches/{batch}/cancel", 404)
    for path in ("", f"/files/{file}"):
        two.delete(at + path, 404)
    own = two.post("/vector_stores")["id"]
    two.post(f"/vector_stores/{own}/files", 404, file_id=file)
    assert one.get(f"{at}/files/{file}")["status"] == "in_progress" and one.get(at)["name"] == "kb"
    known.store.close()


def test_what_the_operator_made_everybody_may_read_and_nobody_change() -> None:
    known = knowledge()
    operator = World(ready(ENGINE, TEXT, known)[0], known)
    store = operator.store(SEA)
    caller = World(ready(ENGINE, TEXT, known, api_keys=("one",))[0], known, "one")
    assert "sea" in caller.found(store, "deep sea")[0]
    (file,) = (member["id"] for member in caller.get(f"/vector_stores/{store}/files")["data"])
    refused = caller.post(f"/vector_stores/{store}", 403, name="mine")
    assert (refused["type"], refused["code"]) == ("permission_error", "read_only") and "belongs to the operator" in refused["message"]
    caller.post(f"/vector_stores/{store}/files/{file}", 403, attributes={})
    own = caller.upload(LAMP)
    caller.post(f"/vector_stores/{store}/files", 403, file_id=own)
    caller.post(f"/vector_stores/{store}/file_batches", 403, file_ids=[own])
    for path in (f"/vector_stores/{store}/files/{file}", f"/vector_stores/{store}", f"/files/{file}"):
        assert caller.delete(path, 403)["code"] == "read_only"
    assert caller.get(f"/vector_stores/{store}") == operator.get(f"/vector_stores/{store}")
    known.store.close()


def test_a_cross_encoder_sorts_unless_it_is_not_wanted() -> None:
    known = knowledge(reranker=True)
    world = World(ready(ENGINE, TEXT, known)[0], known)
    store = world.store(SEA, LAMP)
    assert world.search(store, "whales swim")["data"][0]["score"] == 1
    plain = world.search(store, "whales swim", ranking_options={"ranker": "none"})["data"][0]
    assert plain["score"] < 1 and plain["filename"] == "0.txt"
    known.store.close()


def test_measurements(world: World) -> None:
    world.search(world.store(SEA, "broken"), "sea")
    world.post("/vector_stores", file_ids=[world.upload(LAMP)])
    page = ask(world.app, "GET", "/metrics").text
    assert 'stoa_files_read_total{outcome="ready"} 1.0' in page and 'stoa_files_read_total{outcome="failed"} 1.0' in page
    assert "stoa_chunks_stored_total 3.0" in page and "stoa_files_being_read 0.0" in page
    assert 'stoa_files_waiting{state="queued"} 1.0' in page and 'stoa_files_waiting{state="parsing"} 0.0' in page
