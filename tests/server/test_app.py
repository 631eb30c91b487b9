"""Doors, bodies, states and measurements: what happens around a request."""

import asyncio
import errno
import hashlib
import json
import logging
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.api import EngineStopped
from engine.vllm.client import choose
from retrieval.records import NewFile, NewVectorStore
from server.app import create_app
from server.http.json_body.size import expect_few_values
from server.http.warnings import WARNINGS_HEADER
from server.runtime.loading.chat import takes_vllm
from server.runtime.settings import Settings
from server.text.encode_cache import EncodeCache
from tests.server.fake_knowledge import knowledge
from tests.server.fakes import FakeEngine, ask, client, ready, runtime, says, text

TEXT = text()
CHAT = "/v1/chat/completions"
BODY = {"model": "tiny", "messages": [{"role": "user", "content": "Hello"}]}


def engine(**given: Any) -> FakeEngine:
    return FakeEngine(says("Hi.", TEXT), **given)


def post(app: Any, content: bytes, **headers: str) -> Any:
    return ask(app, "POST", CHAT, content=content, headers={"content-type": "application/json", **headers})


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'"x"', b'{"model": "tiny", "messages": [{"role": "user", "content": "\xff"}]}', b"\xff\xfe", b"[" * 5000,
     b'{"model": "tiny", "n": ' + b"9" * 5000 + b"}",
     b'{"model": "tiny", "temperature": NaN}', b'{"model": "tiny", "temperature": 1e999}'],
)  # fmt: skip
def test_bodies_that_are_no_request(body: bytes) -> None:
    answer = post(ready(engine(), TEXT)[0], body)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert error["type"] == "invalid_request_error" and set(error) == {"message", "type", "param", "code"}


def test_large_bodies() -> None:
    app, _ = ready(engine(), TEXT, max_body_bytes=1000)
    fits = json.dumps(BODY).encode().ljust(1000)
    assert post(app, fits).status_code == 200
    for size in (1001, 10_000_000):
        answer = post(app, b"x" * size)
        assert answer.status_code == 413 and answer.json()["error"]["code"] == "body_too_large"


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("sign", [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}, {}])
def test_only_json_is_read_from_web_pages(kind: str, sign: dict[str, str]) -> None:
    """A web page may send anything else to any server without asking, but not without saying so. Programs may leave the type out."""
    answer = post(ready(engine(), TEXT)[0], json.dumps(BODY).encode(), **{"content-type": kind}, **sign)
    if not sign and kind in ("application/x-www-form-urlencoded", ""):
        assert answer.status_code == 200
    else:
        assert answer.status_code == 415 and answer.json()["error"]["code"] == "unsupported_media_type"


def test_paths_and_methods_that_do_not_exist() -> None:
    app, _ = ready(engine(), TEXT)
    missing = ask(app, "GET", "/v1/nothing")
    assert missing.status_code == 404 and missing.json()["error"]["code"] == "not_found"
    wrong = ask(app, "DELETE", "/v1/embeddings")
    assert wrong.status_code == 405 and wrong.headers["allow"] == "POST" and wrong.json()["error"]["code"] == "method_not_allowed"


def test_models() -> None:
    app, _ = ready(engine(), TEXT)
    (model,) = ask(app, "GET", "/v1/models").json()["data"]
    texts = {"input_modalities": ["text"], "output_modalities": ["text"]}
    sampling = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
    known = {"created": 1, "owned_by": "stoa", "max_model_len": 512, "sampling": sampling}
    assert model == {"id": "tiny", "object": "model", **known, **texts}
    assert ask(app, "GET", "/v1/models/tiny").json() == model
    assert ask(app, "GET", "/v1/models/other").json()["error"]["code"] == "model_not_found"


def test_keys() -> None:
    hashed = "sha256:" + hashlib.sha256(b"second").hexdigest()
    app, _ = ready(engine(), TEXT, api_keys=("first", hashed), host="0.0.0.0")
    for path in ("/v1/models", "/metrics", "/openapi.json", "/v1/nothing"):
        for header in ({}, {"authorization": "Bearer third"}, {"authorization": "first"}, {"authorization": "Basic first"}):
            answer = ask(app, "GET", path, headers=header)
            assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    for key in ("first", "second"):
        assert ask(app, "GET", "/v1/models", headers={"authorization": f"Bearer {key}", "host": "example.com"}).status_code == 200
    assert ask(app, "GET", "/health").status_code == ask(app, "GET", "/ready").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"), [("localhost:8000", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("evil.example", 403), ("10.0.0.1", 403)]
)
def test_without_keys_only_loopback_names_are_answered(host: str, status: int) -> None:
    assert ask(ready(engine(), TEXT)[0], "GET", "/v1/models", headers={"host": host}).status_code == status


def test_clients_of_ollama_ask_whether_the_server_runs() -> None:
    app, _ = ready(engine(), TEXT, api_keys=("k",))
    assert ask(app, "GET", "/").text == "Stoa is running\n" and ask(app, "HEAD", "/").status_code == 200
    assert ask(app, "POST", "/", headers={"authorization": "Bearer k"}).status_code == 405


def test_pages_may_read_what_had_no_effect() -> None:
    app, _ = ready(engine(), TEXT, cors_origins=("https://a.example",), api_keys=("k",))
    headers = {"origin": "https://a.example", "authorization": "Bearer k"}
    body = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "verbosity": "low"}
    answer = ask(app, "POST", CHAT, json=body, headers=headers)
    assert answer.headers[WARNINGS_HEADER] == "verbosity" and WARNINGS_HEADER in answer.headers["access-control-expose-headers"]


def test_cors_is_off_unless_asked_for() -> None:
    preflight = {"origin": "https://a.example", "access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    closed = ask(ready(engine(), TEXT)[0], "OPTIONS", CHAT, headers=preflight)
    assert closed.status_code == 405 and "access-control-allow-origin" not in closed.headers
    app, _ = ready(engine(), TEXT, cors_origins=("https://a.example",), api_keys=("k",))
    opened = ask(app, "OPTIONS", CHAT, headers=preflight)
    assert opened.status_code == 200 and opened.headers["access-control-allow-origin"] == "https://a.example"
    assert ask(app, "OPTIONS", CHAT, headers=preflight | {"origin": "https://b.example"}).status_code == 400


def test_cors_takes_every_header_and_covers_errors() -> None:
    """The official JavaScript clients send x-stainless-*; without the header on errors pages see "Failed to fetch" instead of why."""
    app, _ = ready(engine(), TEXT, cors_origins=("https://a.example/",), api_keys=("k",))
    origin = {"origin": "https://a.example"}
    wanted = "authorization,content-type,x-stainless-os,anthropic-dangerous-direct-browser-access"
    preflight = {**origin, "access-control-request-method": "POST", "access-control-request-headers": wanted}
    opened = ask(app, "OPTIONS", CHAT, headers=preflight)
    assert opened.status_code == 200 and opened.headers["access-control-allow-headers"] == wanted
    key = {**origin, "authorization": "Bearer k"}
    for method, path, headers, content, status in (
        ("GET", "/v1/models", origin, b"", 401),
        ("GET", "/v1/models", key, b"", 200),
        ("GET", "/v1/nothing", key, b"", 404),
        ("DELETE", CHAT, key, b"", 405),
        ("POST", CHAT, key, b"{}", 415),
        ("POST", CHAT, {**key, "content-type": "application/json"}, b'{"model": "other", "messages": []}', 400),
        ("GET", "/v1/models/other", key, b"", 404),
    ):
        answer = ask(app, method, path, headers=headers, content=content)
        assert answer.status_code == status and answer.headers["access-control-allow-origin"] == "https://a.example", path
        assert "x-request-id" in answer.headers


@pytest.mark.parametrize("origins", ["nonsense", "ftp://a.example", "https://a.example/path", ""])
def test_origins_that_no_page_has(origins: str) -> None:
    with pytest.raises(ValueError, match="origin"):
        Settings(cors_origins=(origins,))


def test_names_of_models_may_have_slashes() -> None:
    fake = runtime(engine(), TEXT)
    app, state = create_app(Settings(), load=lambda _, watch: fake)
    state.runtime = replace(fake, names=("HuggingFaceTB/SmolLM2 135M",))
    for path in (
        "/v1/models/HuggingFaceTB/SmolLM2%20135M",
        "/v1/models/HuggingFaceTB%2FSmolLM2%20135M",
        "/models/HuggingFaceTB/SmolLM2 135M/",
    ):
        assert ask(app, "GET", path).json()["id"] == "HuggingFaceTB/SmolLM2 135M"
    assert ask(app, "GET", "/v1/models/HuggingFaceTB/other").json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions/", "//v1//chat/completions", "/v1/v1/chat/completions"])
def test_other_spellings_of_a_path(path: str) -> None:
    app, _ = ready(engine(), TEXT)
    assert ask(app, "POST", path, json=BODY).json()["object"] == "chat.completion"


def test_paths_at_the_root_and_below_v1() -> None:
    app, _ = ready(engine(), TEXT)
    for path in ("/health/", "/v1/health", "/ping", "/ready/", "/v1/version", "/version", "/openapi.json/", "/models/"):
        assert ask(app, "GET", path).status_code == 200, path
    assert ask(app, "POST", "/ping").json()["status"] == "ok" and ask(app, "GET", "/version").json()["version"]
    assert ask(app, "POST", "/messages", json={}).json()["type"] == "error", "an error in the API's own format"
    for path in ("/v1", "/v1/", "/v2/chat/completions", "/nothing/"):
        assert ask(app, "GET", path).status_code == 404, path


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [(errno.ENOSPC, 507, "disk_full"), (errno.EROFS, 503, "disk_read_only"), (errno.EMFILE, 503, "too_many_files")],
)
def test_what_the_machine_lacks_has_a_code(number: int, status: int, code: str, caplog: pytest.LogCaptureFixture) -> None:
    fake = engine()

    def fail(request: object) -> Any:
        raise OSError(number, "no")

    fake.script = fail  # pyright: ignore[reportAttributeAccessIssue]
    answer = post(ready(fake, TEXT)[0], json.dumps(BODY).encode())
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code) and "Traceback" not in caplog.text


def test_bodies_of_too_many_values_are_refused_before_they_are_parsed() -> None:
    app, _ = ready(engine(), TEXT)
    for many in (b'{"model": "tiny", "messages": [1' + b",1" * 30_000 + b"]}", b"[" + b'"a,\\"",' * 30_000 + b"1]"):
        assert post(app, many).json()["error"]["code"] == "too_many_values"
    commas = {**BODY, "messages": [{"role": "user", "content": 'a, "b",\\ ' * 50}]}
    assert post(app, json.dumps(commas).encode()).status_code == 200
    within = json.dumps({"role": "user", "content": ', "' * 40_000}).encode()
    expect_few_values(within, 20_000)


def test_a_prompt_that_cannot_fit_is_refused_before_it_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    app, _ = ready(engine(), TEXT)
    monkeypatch.setattr(EncodeCache, "encode", lambda *_: pytest.fail("it was encoded"))
    long = "a b" * 100_000
    chat = {**BODY, "messages": [{"role": "user", "content": long}]}
    for path, body in (
        (CHAT, chat),
        ("/v1/responses", {"model": "tiny", "input": long}),
        ("/v1/messages", {**chat, "max_tokens": 4}),
        ("/v1/messages/count_tokens", chat),
        ("/v1/completions", {"model": "tiny", "prompt": long}),
        ("/tokenize", {"model": "tiny", "prompt": long}),
        ("/tokenize", chat),
    ):
        answer = ask(app, "POST", path, json=body)
        assert answer.status_code == 400 and "context" in answer.text and len(answer.text) < 1000, path


def test_request_ids() -> None:
    app, _ = ready(engine(), TEXT)
    assert ask(app, "GET", "/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    for odd in ("", "a b", "x" * 200):
        assert ask(app, "GET", "/health", headers={"x-request-id": odd}).headers["x-request-id"].startswith("req_")


def test_the_log_has_one_line_per_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stoa.access")
    app, _ = ready(engine(), TEXT)
    ask(app, "GET", "/health")  # probes are not worth a line
    post(app, json.dumps(BODY).encode(), **{"x-request-id": "abc-1"})
    (record,) = caplog.records
    assert record.__dict__["fields"] | {"seconds": 0} == {
        "request_id": "abc-1",
        "method": "POST",
        "path": CHAT,
        "status": 200,
        "seconds": 0,
    }


def test_a_bug_is_a_500_that_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    fake = engine()
    fake.script = lambda request: [None]  # pyright: ignore[reportAttributeAccessIssue]
    answer = post(ready(fake, TEXT)[0], json.dumps(BODY).encode())
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "internal_error" and "None" not in answer.text
    assert "Traceback" in caplog.text


def test_loading_then_ready_then_draining() -> None:
    loaded = threading.Event()
    fake = engine()

    def slowly(_: Settings, watch: object) -> Any:
        loaded.wait()
        return runtime(fake, TEXT)

    async def scenario() -> None:
        app, state = create_app(Settings(), load=slowly)
        async with app.router.lifespan_context(app), client(app) as http:
            assert (await http.get("/health")).status_code == 200
            assert (await http.get("/ready")).json() == {"status": "loading", "reason": "the models are being loaded"}
            early = await http.post(CHAT, json=BODY)
            assert early.status_code == 503 and early.headers["retry-after"] == "1" and early.json()["error"]["code"] == "not_ready_loading"
            loaded.set()
            while (await http.get("/ready")).status_code != 200:
                await asyncio.sleep(0.001)
            assert (await http.post(CHAT, json=BODY)).status_code == 200
            state.drain()
            assert (await http.get("/ready")).status_code == 503 and (await http.get("/health")).status_code == 200
            assert (await http.post(CHAT, json=BODY)).json()["error"]["code"] == "not_ready_draining"
        assert not fake.alive

    asyncio.run(scenario())


def test_a_model_that_cannot_be_loaded() -> None:
    def broken(_: Settings, watch: object) -> Any:
        raise ValueError("no such file")

    async def scenario() -> None:
        app, state = create_app(Settings(), load=broken)
        async with app.router.lifespan_context(app), client(app) as http:
            while state.load_error is None:
                await asyncio.sleep(0.001)
            for path in ("/ready", "/health"):
                answer = await http.get(path)
                assert answer.status_code == 503 and "no such file" in answer.json()["reason"]

    asyncio.run(scenario())


def test_a_dead_engine_is_neither_ready_nor_healthy() -> None:
    fake = engine(alive=False)
    app, _ = ready(fake, TEXT)
    assert [ask(app, "GET", path).status_code for path in ("/health", "/ready", "/v1/models")] == [503, 503, 503]


def test_when_files_are_not_read_any_more_the_server_is_sick() -> None:
    """Uploads would wait for ever; what chats goes on chatting."""
    known = knowledge()

    async def breaks() -> None:
        raise EngineStopped("the encoder has died")

    async def scenario() -> None:
        known.ingestor.run = breaks  # pyright: ignore[reportAttributeAccessIssue]
        app, _ = create_app(Settings(), load=lambda _, watch: runtime(engine(), TEXT, known))
        async with app.router.lifespan_context(app), client(app) as http:
            while (await http.get("/ready")).json()["status"] != "failed":
                await asyncio.sleep(0.001)
            assert (await http.get("/health")).status_code == 503
            assert (await http.post(CHAT, json=BODY)).status_code == 200

    asyncio.run(scenario())


def test_queued_files_are_read_beside_everything_else() -> None:
    known = knowledge()
    store, file = (
        known.store.create_store(NewVectorStore(owner="")),
        known.store.put_file(NewFile(owner="", filename="a.txt"), [b"The sea."]),
    )

    async def scenario() -> None:
        app, _ = create_app(Settings(), load=lambda _, watch: runtime(engine(), TEXT, known))
        async with app.router.lifespan_context(app), client(app) as http:
            while (await http.get("/ready")).status_code != 200:
                await asyncio.sleep(0.001)
            await http.post(f"/v1/vector_stores/{store.id}/files", json={"file_id": file.id})
            while (await http.get(f"/v1/vector_stores/{store.id}")).json()["status"] != "completed":
                await asyncio.sleep(0.001)
            found = (await http.post(f"/v1/vector_stores/{store.id}/search", json={"query": "sea"})).json()["data"]
            assert [hit["file_id"] for hit in found] == [file.id]

    asyncio.run(scenario())


def test_metrics() -> None:
    app, _ = ready(engine(), TEXT)
    post(app, json.dumps(BODY).encode())
    post(app, b"{")
    ask(app, "GET", "/v1/nothing")
    page = ask(app, "GET", "/metrics")
    assert page.headers["content-type"].startswith("text/plain")
    found = {(s.name, *sorted(s.labels.items())): s.value for family in text_string_to_metric_families(page.text) for s in family.samples}
    assert found["stoa_requests_total", ("route", CHAT), ("status", "200")] == 1
    assert found["stoa_requests_total", ("route", CHAT), ("status", "400")] == 1
    assert found["stoa_requests_total", ("route", "other"), ("status", "404")] == 1
    tokens = len(TEXT.encode("Hi.")) + 1
    assert found["stoa_time_to_first_token_seconds_count",] == 1 and found["stoa_inter_token_seconds_count",] == tokens - 1
    assert found["stoa_request_seconds_count", ("route", CHAT)] == 2
    assert found["stoa_pages", ("state", "free")] == 10
    assert found["stoa_slots", ("state", "cached")] == 3 and found["stoa_slots", ("state", "free")] == 0
    assert found["stoa_cache_bytes", ("of", "slots")] == 600 and found["stoa_cache_bytes", ("of", "pages")] == 0
    for name in ("requests_waiting", "requests_running", "prompt_tokens_total", "generated_tokens_total", "cached_tokens_total"):
        assert (f"stoa_{name}",) in found
    for name in ("preemptions_total", "aborts_total"):
        assert (f"stoa_{name}",) in found


def test_openapi_names_every_path_and_refers_to_nothing_missing() -> None:
    document = ask(ready(engine(), TEXT)[0], "GET", "/openapi.json").json()
    assert {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/models/{model}", "/tokenize", "/ready"} <= set(
        document["paths"]
    )
    references = {part.partition('"')[0] for part in json.dumps(document).split('"$ref": "#/components/schemas/')[1:]}
    assert references <= set(document["components"]["schemas"])
    assert document["components"]["schemas"]["ChatRequest"]["additionalProperties"] is False


def test_moderations_are_refused_by_name() -> None:
    app, _ = ready(engine(), TEXT)
    answer = ask(app, "POST", "/v1/moderations", json={"input": "Hello"})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "unsupported" and "moderated" in answer.text


@pytest.mark.parametrize(
    ("given", "installed", "best", "taken"),
    [
        ({}, True, True, True),
        ({}, True, False, False),
        ({}, False, False, False),
        ({"quantize": "int4"}, True, True, False),
        ({"engine": "embedded"}, True, True, False),
        ({"engine": "vllm"}, True, False, True),
        ({"tensor_parallel": 2}, True, False, True),
    ],
)
def test_when_vllm_answers(given: Any, installed: bool, best: bool, taken: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "is_installed", lambda: installed)
    monkeypatch.setattr(choose, "is_best", lambda: best)
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForCausalLM"]}')
    assert takes_vllm(Settings(**given), tmp_path) == taken


@pytest.mark.parametrize(
    "config", [{"architectures": ["T5ForConditionalGeneration"]}, {"architectures": ["StoaForCausalLM"], "arch": {"encoder": {}}}]
)
def test_what_reads_an_input_is_the_embedded_engine_s(config: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(choose, "is_installed", lambda: True)
    monkeypatch.setattr(choose, "is_best", lambda: True)
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert not takes_vllm(Settings(), tmp_path)
    with pytest.raises(ValueError, match=f"vllm serves no {config['architectures'][0]}, .*: take --engine embedded"):
        takes_vllm(Settings(engine="vllm"), tmp_path)


def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "is_installed", lambda: False)
    with pytest.raises(ValueError, match="vllm is not installed"):
        takes_vllm(Settings(engine="vllm"), Path("any"))
