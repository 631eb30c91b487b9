"""/v1/uploads: parts of every kind, what they become, and what is refused."""

import hashlib
from typing import Any

import httpx
import pytest

from server.archive.database import open_archive
from tests.server.fake_knowledge import knowledge, settle
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
ENGINE = FakeEngine(says("Hi.", TEXT), immortal=True)
LIMIT = 1000
SEA = b"The sea is deep.\nThe moon is far."


@pytest.fixture
def known() -> Any:
    return knowledge()


@pytest.fixture
def app(known: Any) -> Any:
    archive = open_archive(known.store.transactions)
    return ready(ENGINE, TEXT, known, {"archive": archive}, max_upload_bytes=LIMIT)[0]


def begin(app: Any, status: int = 200, **given: Any) -> Any:
    plain: dict[str, Any] = {"filename": "sea.txt", "purpose": "assistants", "bytes": len(SEA), "mime_type": "text/plain"}
    answer = ask(app, "POST", "/v1/uploads", json={name: value for name, value in {**plain, **given}.items() if value is not None})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def add(app: Any, upload: Any, data: bytes, **given: Any) -> httpx.Response:
    return ask(app, "POST", f"/v1/uploads/{upload['id']}/parts", files={"data": ("blob", data)}, **given)


def part(app: Any, upload: Any, data: bytes) -> str:
    answer = add(app, upload, data)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["object"], answer.json()["upload_id"]) == ("upload.part", upload["id"])
    return answer.json()["id"]


def complete(app: Any, upload: Any, *part_ids: str, status: int = 200, **given: Any) -> Any:
    answer = ask(app, "POST", f"/v1/uploads/{upload['id']}/complete", json={"part_ids": list(part_ids), **given})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def test_the_parts_become_a_file_that_can_be_searched(app: Any, known: Any) -> None:
    upload = begin(app)
    assert upload["status"] == "pending" and upload["file"] is None and upload["expires_at"] == upload["created_at"] + 3600
    second, first = part(app, upload, SEA[10:]), part(app, upload, SEA[:10])
    done = complete(app, upload, first, second, md5=hashlib.md5(SEA).hexdigest().upper())
    file = done["file"]
    assert done["status"] == "completed" and {**upload, "status": "completed", "file": file} == done
    assert (file["filename"], file["bytes"], file["purpose"]) == ("sea.txt", len(SEA), "assistants")
    assert ask(app, "GET", f"/v1/files/{file['id']}/content").content == SEA
    assert ask(app, "GET", f"/v1/files/{file['id']}").json() == file
    store = ask(app, "POST", "/v1/vector_stores", json={"file_ids": [file["id"]]}).json()["id"]
    settle(known, store)
    found = ask(app, "POST", f"/v1/vector_stores/{store}/search", json={"query": "moon"}).json()["data"]
    assert "moon" in found[0]["content"][0]["text"]


def test_completing_again_gives_the_same_answer(app: Any) -> None:
    upload = begin(app)
    ids = [part(app, upload, SEA[:10]), part(app, upload, SEA[10:])]
    done = complete(app, upload, *ids)
    assert complete(app, upload, *ids) == done
    assert complete(app, upload, *reversed(ids), status=400)["code"] == "upload_completed"
    assert add(app, upload, b"x").status_code == 400
    assert ask(app, "DELETE", f"/v1/files/{done['file']['id']}").status_code == 200
    assert complete(app, upload, *ids)["file"] is None


def test_what_does_not_fit_together_is_refused_and_can_be_mended(app: Any) -> None:
    upload, other = begin(app), begin(app)
    first, second, foreign = part(app, upload, SEA[:10]), part(app, upload, SEA[10:]), part(app, other, SEA)
    error = complete(app, upload, first, status=400)
    assert (error["param"], error["code"]) == ("part_ids", "bytes_mismatch") and str(len(SEA)) in error["message"]
    assert complete(app, upload, first, second, first, status=400)["param"] == "part_ids.2"
    assert foreign in complete(app, upload, foreign, status=400)["message"]
    assert complete(app, upload, first, second, md5="0" * 32, status=400)["code"] == "md5_mismatch"
    assert complete(app, upload, first, second, md5="abc", status=400)["param"] == "md5"
    assert ask(app, "GET", "/v1/files").json()["data"] == []
    assert complete(app, upload, first, second)["status"] == "completed"


def test_an_empty_file_needs_no_parts(app: Any) -> None:
    done = complete(app, begin(app, bytes=0))
    assert done["file"]["bytes"] == 0 and ask(app, "GET", f"/v1/files/{done['file']['id']}/content").content == b""


def test_what_is_cancelled_takes_nothing_more(app: Any) -> None:
    upload = begin(app)
    id = part(app, upload, SEA)
    for _ in range(2):
        assert ask(app, "POST", f"/v1/uploads/{upload['id']}/cancel").json() == {**upload, "status": "cancelled"}
    assert complete(app, upload, id, status=400)["code"] == "upload_cancelled"
    assert "cancelled" in add(app, upload, SEA).json()["error"]["message"]


@pytest.mark.parametrize(
    ("given", "status", "param"),
    [
        ({"bytes": LIMIT + 1}, 413, "bytes"),
        ({"bytes": -1}, 400, "bytes"),
        ({"bytes": "9"}, 400, "bytes"),
        ({"purpose": "evals"}, 400, "purpose"),
        ({"purpose": "batch_output"}, 400, "purpose"),
        ({"filename": ""}, 400, "filename"),
        ({"mime_type": "text/\nplain"}, 400, "mime_type"),
        ({"mime_type": None}, 400, "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 1}}, 400, "expires_after.seconds"),
        ({"part_size": 5}, 400, "part_size"),
    ],
)
def test_a_wrong_field_is_named(app: Any, given: dict[str, Any], status: int, param: str) -> None:
    assert begin(app, status, **given)["param"] == param


def test_a_wrong_part_is_named(app: Any) -> None:
    upload = begin(app)
    path = f"/v1/uploads/{upload['id']}/parts"
    tries: list[tuple[dict[str, Any], int, str | None]] = [
        ({"files": {"file": ("a", b"x")}}, 400, "data"),
        ({"files": {"data": ("a", b"")}}, 400, "data"),
        ({"files": {"data": ("a", b"x")}, "data": {"purpose": "x"}}, 400, "purpose"),
        ({"files": {"data": ("a", b"x" * (LIMIT + 1))}}, 413, "data"),
        ({"json": {"data": "x"}}, 415, None),
    ]
    for given, status, param in tries:
        answer = ask(app, "POST", path, **given)
        assert (answer.status_code, answer.json()["error"]["param"]) == (status, param), answer.text
    assert "bytes are more than" in add(app, upload, SEA + b"!").json()["error"]["message"]
    assert add(app, {"id": "upload_1"}, b"x").json()["error"]["code"] == "upload_not_found"
    assert ask(app, "POST", "/v1/uploads/upload_1/cancel").status_code == 404


def test_other_web_pages_add_nothing(app: Any) -> None:
    answer = add(app, begin(app), SEA, headers={"origin": "https://elsewhere.example"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")


def test_names_are_made_safe_and_get_an_ending(app: Any) -> None:
    names = {"../../etc/x.md": "x.md", "notes": "notes.txt", "a/b\\c.d": "c.d"}
    for given, made in names.items():
        assert begin(app, filename=given)["filename"] == made
    assert begin(app, filename="notes", mime_type="pdf")["filename"] == "notes"


def test_the_file_expires_as_it_was_asked(app: Any) -> None:
    for purpose, asked, seconds in (("assistants", None, None), ("batch", None, 30 * 86_400), ("batch", 3600, 3600)):
        expires = None if asked is None else {"anchor": "created_at", "seconds": asked}
        upload = begin(app, purpose=purpose, expires_after=expires)
        file = complete(app, upload, part(app, upload, SEA))["file"]
        assert file.get("expires_at") == (None if seconds is None else file["created_at"] + seconds)


def test_another_key_finds_nothing() -> None:
    known = knowledge()
    app, _ = ready(ENGINE, TEXT, known, {"archive": open_archive(known.store.transactions)}, api_keys=("k", "l"))
    mine, yours = ({"headers": {"Authorization": f"Bearer {key}"}} for key in "kl")
    body = {"filename": "a", "purpose": "assistants", "bytes": 1, "mime_type": "text/plain"}
    upload = ask(app, "POST", "/v1/uploads", json=body, **mine).json()
    id = add(app, upload, b"x", **mine).json()["id"]
    path = f"/v1/uploads/{upload['id']}"
    assert add(app, upload, b"x", **yours).status_code == 404
    assert ask(app, "POST", f"{path}/complete", json={"part_ids": [id]}, **yours).status_code == 404
    assert ask(app, "POST", f"{path}/cancel", **yours).status_code == 404
    assert ask(app, "POST", f"{path}/complete", json={"part_ids": [id]}, **mine).json()["status"] == "completed"


def test_without_a_database_there_is_nothing_to_upload_to() -> None:
    app, _ = ready(ENGINE, TEXT)
    assert begin(app, 400)["code"] == "nothing_stored"
