"""/v1/files: forms of every kind, large ones, and what comes back."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from server.api.documents.files import safe_name
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, client, ready, says, text

TEXT = text()
ENGINE = FakeEngine(says("Hi.", TEXT))
LIMIT = 1000
BOUNDARY = "----xYz"
FORM = {"content-type": f"multipart/form-data; boundary={BOUNDARY}"}


@pytest.fixture
def app() -> Any:
    return ready(ENGINE, TEXT, knowledge(), max_upload_bytes=LIMIT)[0]


def upload(app: Any, name: str = "a.txt", content: bytes = b"text", headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    form = {"purpose": "assistants", **fields}
    return ask(app, "POST", "/v1/files", files={"file": (name, content)}, data=form, headers=headers or {})


def part(name: str, content: str = "x", extra: str = "") -> str:
    return f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{extra}\r\n\r\n{content}\r\n'


def send(app: Any, *parts: str, end: str = f"--{BOUNDARY}--\r\n", headers: dict[str, str] | None = None) -> httpx.Response:
    return ask(app, "POST", "/v1/files", content=("".join(parts) + end).encode(), headers=headers or FORM)


FILE = part("file", "text", '; filename="a.txt"')
PURPOSE = part("purpose", "assistants")


def test_a_file_comes_back_as_it_went_in(app: Any) -> None:
    content = bytes(range(256)) * 3
    made = upload(app, "bytes.bin", content).json()
    created = made.pop("created_at")
    assert made.pop("id").startswith("file-") and created > 1_700_000_000
    assert made == {
        "object": "file", "bytes": 768, "filename": "bytes.bin", "purpose": "assistants", "status": "processed",
    }  # fmt: skip


def test_content_is_for_saving_and_for_nothing_else(app: Any) -> None:
    id = upload(app, 'Straße "1"<script>.html', b"<script>alert(1)</script>").json()["id"]
    answer = ask(app, "GET", f"/v1/files/{id}/content")
    assert answer.content == b"<script>alert(1)</script>" and answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff" and "sandbox" in answer.headers["content-security-policy"]
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="Stra_e _1_<script>.html"; ')
    assert disposition.endswith("filename*=UTF-8''Stra%C3%9Fe%20%221%22%3Cscript%3E.html")


def test_fields_may_follow_the_file_and_arrive_in_any_portions(app: Any) -> None:
    body = (
        FILE + part("expires_after[anchor]", "created_at") + part("expires_after[seconds]", "3600") + PURPOSE + f"--{BOUNDARY}--"
    ).encode()

    async def drip() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 7):
            yield body[at : at + 7]

    async def scenario() -> httpx.Response:
        async with client(app) as http:
            return await http.post("/v1/files", content=drip(), headers=FORM)

    made = asyncio.run(scenario()).json()
    assert made["expires_at"] == made["created_at"] + 3600 and made["bytes"] == 4


def test_large_files_are_refused_without_being_kept(app: Any) -> None:
    assert upload(app, content=b"x" * LIMIT).status_code == 200
    for size in (LIMIT + 1, 100 * LIMIT):
        answer = upload(app, content=b"x" * size)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "file_too_large"
    patient = {**FORM, "expect": "100-continue", "content-length": "2000000000"}
    assert send(app, headers=patient).status_code == 413  # before anything is sent
    assert len(ask(app, "GET", "/v1/files").json()["data"]) == 1


def test_large_files_stay_on_disk() -> None:
    app, _ = ready(ENGINE, TEXT, knowledge(), max_upload_bytes=8 << 20)
    content = hashlib.sha256(b"seed").digest() * (1 << 17)  # 4 MiB
    id = upload(app, "big.bin", content).json()["id"]
    assert ask(app, "GET", f"/v1/files/{id}/content").content == content


@pytest.mark.parametrize(
    ("parts", "param"),
    [([PURPOSE], "file"), ([PURPOSE, part("file")], "file"), ([FILE], "purpose"), ([FILE, part("purpose", "fun")], "purpose"), ([], "file"),
     ([FILE, FILE, PURPOSE], "file"), ([FILE, PURPOSE, PURPOSE], "purpose"), ([FILE, PURPOSE, part("colour")], "colour"),
     ([FILE, PURPOSE, part("colour", "x" * 5000)], "colour"),
     ([FILE, PURPOSE, part("expires_after[seconds]", "3600")], "expires_after[anchor]"),
     ([FILE, PURPOSE, part("expires_after[anchor]", "created_at")], "expires_after[seconds]"),
     ([FILE, PURPOSE, part("expires_after[anchor]", "created_at"), part("expires_after[seconds]", "60")], "expires_after[seconds]")],
)  # fmt: skip
def test_forms_are_refused_by_field(app: Any, parts: list[str], param: str) -> None:
    answer = send(app, *parts)
    assert answer.status_code == 400 and answer.json()["error"]["param"] == param, answer.text
    assert ask(app, "GET", "/v1/files").json()["data"] == []


@pytest.mark.parametrize("end", ["", f"--{BOUNDARY}", "\r\nnothing"])
def test_forms_that_are_cut_off_are_no_files(app: Any, end: str) -> None:
    answer = send(app, PURPOSE, FILE, end=end)
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "invalid_form"


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data", f"multipart/form-data; boundary={'x' * 71}", ""])
def test_other_bodies_are_no_forms(app: Any, kind: str) -> None:
    answer = send(app, FILE, PURPOSE, headers={"content-type": kind})
    assert answer.status_code == (400 if kind.startswith("multipart") else 415)


def test_bad_forms_have_no_500(app: Any) -> None:
    for body in (b"", b"--", b"\r\n\r\n", f"--{BOUNDARY}\r\n\xff: y\r\n\r\n".encode(), f"--{BOUNDARY}\r\nA{'a' * 9000}: y\r\n".encode()):
        assert ask(app, "POST", "/v1/files", content=body, headers=FORM).status_code == 400


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a.txt", "a.txt"), ("../../etc/passwd", "passwd"), ("C:\\x\\report.pdf", "report.pdf"), ("", "file"), ("..", "file"), ("a/", "file"),
     ("a\x00b\n.txt", "a_b_.txt"), ("u\u0308.md", "ü.md"), ("in\u202evoice.pdf", "invoice.pdf"),
     ("x" * 300 + ".docx", "x" * 223 + ".docx")],
)  # fmt: skip
def test_names_are_harmless(given: str, kept: str) -> None:
    assert safe_name(given) == kept


def test_names_arrive_in_all_spellings(app: Any) -> None:
    assert upload(app, 'q"ü.txt').json()["filename"] == 'q"ü.txt'
    old = part("file", "text", "; filename*=utf-8''%C3%BC.txt")
    assert send(app, old, PURPOSE).json()["filename"] == "ü.txt"
    dotnet = "; filename=\"=?utf-8?B?R3LDtsOfZS50eHQ=?=\"; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt"
    for spelling in (
        dotnet,
        "; filename*=utf-8''Gr%C3%B6%C3%9Fe.txt; filename=\"x.txt\"",
        "; filename=x.txt; filename*=iso-8859-1'de'Gr%F6%DFe.txt",
        "; filename*0*=utf-8''Gr%C3%B6; filename*1*=%C3%9Fe.txt",
        '; filename="=?utf-8?Q?Gr=C3=B6=C3=9Fe.txt?="',
        '; filename="Größe.txt"',
    ):
        assert send(app, part("file", "text", spelling), PURPOSE).json()["filename"] == "Größe.txt", spelling
    quoted = "; filename=\"a;filename*=utf-8''b.txt\""
    assert send(app, part("file", "text", quoted), PURPOSE).json()["filename"] == "a;filename*=utf-8''b.txt"
    assert send(app, part("file", "text", '; filename=""'), PURPOSE).json()["filename"] == "file"


def test_lists_and_deletion(app: Any) -> None:
    ids = [upload(app, f"{i}.txt", purpose="assistants" if i % 2 else "user_data").json()["id"] for i in range(5)]

    def listed(**query: Any) -> list[str]:
        return [file["id"] for file in ask(app, "GET", "/v1/files", params=query).json()["data"]]

    assert listed(order="asc") == ids and listed() == ids[::-1]
    assert listed(purpose="assistants", order="asc") == ids[1::2]
    page = ask(app, "GET", "/v1/files", params={"limit": 2, "after": ids[3]}).json()
    assert [file["id"] for file in page["data"]] == [ids[2], ids[1]] and page["has_more"] and page["last_id"] == ids[1]
    assert ask(app, "DELETE", f"/v1/files/{ids[0]}").json() == {"id": ids[0], "object": "file", "deleted": True}
    for method in ("GET", "DELETE"):
        gone = ask(app, method, f"/v1/files/{ids[0]}")
        assert gone.status_code == 404 and gone.json()["error"]["code"] == "file_not_found"
    assert listed(order="asc") == ids[1:]
    assert ask(app, "GET", f"/v1/files/{'%00'}").status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=10001",
        "limit=x",
        "limit=+1",
        "limit=1_0",
        "order=up",
        "purpose=x",
        "before=a",
        "limit=1&limit=1",
        "a=b",
        "%ff=%ff",
        "after=",
    ],
)
def test_queries_that_make_no_sense(app: Any, query: str) -> None:
    answer = ask(app, "GET", f"/v1/files?{query}")
    assert answer.status_code == 400 and answer.json()["error"]["message"]


def test_pages_of_strangers_cannot_upload(app: Any) -> None:
    """A browser sends forms across origins without asking first."""
    assert upload(app, headers={"origin": "https://evil.example"}).status_code == 403
    assert upload(app, headers={"origin": "http://localhost"}).status_code == 200
    opened, _ = ready(ENGINE, TEXT, knowledge(), cors_origins=("https://a.example",))
    assert upload(opened, headers={"origin": "https://a.example"}).status_code == 200


def test_keys_see_nothing_of_each_other() -> None:
    app, _ = ready(ENGINE, TEXT, knowledge(), api_keys=("one", "two"))
    one, two = ({"authorization": f"Bearer {key}"} for key in ("one", "two"))
    id = upload(app, headers=one).json()["id"]
    assert ask(app, "GET", "/v1/files", headers=two).json()["data"] == []
    for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        assert ask(app, method, f"/v1/files/{id}{path}", headers=two).status_code == 404
    assert ask(app, "GET", f"/v1/files/{id}", headers=one).status_code == 200


def test_all_methods_of_a_path_are_named(app: Any) -> None:
    answer = ask(app, "PUT", "/v1/files")
    assert answer.status_code == 405 and {"GET", "POST"} <= set(answer.headers["allow"].split(", "))
