"""Bodies that are not quite as our types want them, by every API."""

import json
from typing import Any

import httpx
import pytest

from server.http.json_body.tolerated import without_half_pairs
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
HELLO = [{"role": "user", "content": "Hello"}]
APIS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": HELLO, "max_tokens": 5.0, "top_k": 3.0, "stop_token_ids": [7.0], "unknown": None},
    "/v1/completions": {"prompt": "Hello", "max_tokens": 5.0, "seed": -1.0, "unknown": None},
    "/v1/responses": {"input": "Hello", "max_output_tokens": 16.0, "unknown": None},
    "/v1/messages": {"messages": HELLO, "max_tokens": 5.0, "top_k": 3.0, "unknown": None},
    "/api/chat": {"messages": HELLO, "stream": False, "options": {"num_predict": 5.0, "seed": 3.0}},
}


def post(url: str, body: bytes, kind: str = "application/json") -> httpx.Response:
    app, _ = ready(FakeEngine(says("Paris.", TEXT)), TEXT)
    return ask(app, "POST", url, content=body, headers={"content-type": kind})


@pytest.mark.parametrize("url", APIS)
def test_whole_numbers_and_unknown_nulls(url: str) -> None:
    answer = post(url, json.dumps({"model": "tiny", **APIS[url]}).encode())
    assert answer.status_code == 200, answer.text


def test_an_unknown_null_that_several_branches_of_a_type_complain_of() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, "unknown": None}
    messages = [*HELLO, {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "c", "content": "1"}]
    answer = post("/v1/chat/completions", json.dumps({"model": "tiny", "messages": messages}).encode())
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("wrong", [5.5, "5", True, [5], 1e300, {}])
def test_other_numbers_are_refused_by_name(wrong: Any) -> None:
    answer = post("/v1/chat/completions", json.dumps({"model": "tiny", "messages": HELLO, "max_tokens": wrong}).encode())
    assert answer.status_code == 400 and answer.json()["error"]["param"] == "max_tokens"
    assert "integer" in answer.json()["error"]["message"]


@pytest.mark.parametrize("url", APIS)
def test_a_byte_order_mark(url: str) -> None:
    assert post(url, b"\xef\xbb\xbf" + json.dumps({"model": "tiny", **APIS[url]}).encode()).status_code == 200


@pytest.mark.parametrize(
    ("charset", "encoding"),
    [
        ("utf-8", "utf-8"),
        ('"UTF8"', "utf-8"),
        ("utf-16", "utf-16"),
        ("UTF-16LE", "utf-16-le"),
        ("utf-32", "utf-32"),
        ("iso-8859-1", "latin-1"),
        ("windows-1252", "cp1252"),
        ("latin1", "utf-8"),  # what clients say and what they send
    ],
)
def test_charsets(charset: str, encoding: str) -> None:
    body = json.dumps({"model": "tiny", "prompt": "Grüße", "echo": True}, ensure_ascii=False).encode(encoding)
    answer = post("/v1/completions", body, f"application/json; charset={charset}")
    assert answer.status_code == 200 and answer.json()["choices"][0]["text"].startswith("Grüße")


@pytest.mark.parametrize("charset", ["utf-7", "ebcdic", "base64", "rot13", "none-such"])
def test_other_charsets_are_refused(charset: str) -> None:
    answer = post("/v1/completions", b'{"model": "tiny", "prompt": "a"}', f"application/json; charset={charset}")
    assert answer.status_code == 415 and "charset" in answer.json()["error"]["message"]


def test_what_is_not_in_its_charset() -> None:
    assert post("/v1/completions", b"\xff", "application/json; charset=utf-16").json()["error"]["code"] == "invalid_json"
    assert post("/v1/completions", b'{"prompt": "\xff"}').json()["error"]["code"] == "invalid_json"


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (r"a\ud83d", "a\ufffd"),
        (r"\ude00a", "\ufffda"),
        (r"\ud83d\ude00", "😀"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ud83d\ude00\ude00", "😀\ufffd"),
        (r"\ud83d\n\ude00", "\ufffd\n\ufffd"),
        (r"\\ud83d\ude00x", "\\ud83d\ufffdx"),
        (r"\\\ud83d \u00e9", "\\\ufffd é"),
    ],
)
def test_halves_of_surrogate_pairs(given: str, taken: str) -> None:
    assert json.loads(without_half_pairs(f'"{given}"'.encode())) == taken
    answer = post("/v1/completions", f'{{"model": "tiny", "prompt": "{given} \\ud83d", "echo": true}}'.encode())
    assert answer.status_code == 200 and answer.json()["choices"][0]["text"].startswith(f"{taken} \ufffd")
