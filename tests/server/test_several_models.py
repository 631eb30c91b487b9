"""Several chat models in one server: the request's `model` chooses, whatever API it comes by."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from server.runtime.runtime import ChatModel
from tests.server.conftest import running
from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT, OTHER = text(), text("llama3")
HELLO = [{"role": "user", "content": "Hello"}]


def app(**settings: Any) -> tuple[Any, FakeEngine, FakeEngine]:
    first, second = FakeEngine(says("one", TEXT)), FakeEngine(says("two", OTHER, then="<|eot_id|>"), context=300)
    others = (ChatModel("second", second, OTHER),)
    return ready(first, TEXT, parts={"others": others, "aliases": {"gpt": "second"}}, **settings)[0], first, second


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/completions", {"prompt": "Hello", "max_tokens": 9}),
        ("/v1/responses", {"input": "Hello", "store": False}),
        ("/v1/messages", {"messages": HELLO, "max_tokens": 9}),
        ("/api/chat", {"messages": HELLO, "stream": False}),
        ("/api/generate", {"prompt": "Hello", "stream": False}),
    ],
)
def test_the_request_names_its_model(path: str, body: dict[str, Any]) -> None:
    served, first, second = app()
    for name, word, engine in (("tiny", "one", first), ("second", "two", second), ("gpt", "two", second), ("tiny", "one", first)):
        before = len(engine.requests)
        response = ask(served, "POST", path, json={"model": name, **body})
        assert response.status_code == 200 and f'"{word}"' in response.text and len(engine.requests) == before + 1
    unknown = ask(served, "POST", path, json={"model": "third", **body})
    assert unknown.status_code == 404 and "tiny, second, gpt" in unknown.text


def test_each_is_listed_tokenizes_and_is_measured() -> None:
    served, _, second = app()
    models = ask(served, "GET", "/v1/models").json()["data"]
    assert [(model["id"], model["max_model_len"]) for model in models] == [("tiny", 512), ("second", 300), ("gpt", 300)]
    assert [model["model"] for model in ask(served, "GET", "/api/tags").json()["models"]] == ["tiny:latest", "second:latest", "gpt:latest"]
    assert ask(served, "POST", "/api/show", json={"model": "second"}).json()["model_info"]["unknown.context_length"] == 300
    tokens = [ask(served, "POST", "/tokenize", json={"model": name, "prompt": "Größe, 1234"}).json()["tokens"] for name in ("tiny", "gpt")]
    assert tokens[0] == list(TEXT.encode("Größe, 1234", add_special=True)) != tokens[1]
    second.running = 3
    page = ask(served, "GET", "/metrics").text
    assert 'stoa_requests_running{model="tiny"} 0.0' in page and 'stoa_requests_running{model="second"} 3.0' in page
    assert 'stoa_pages{model="second",state="free"} 10.0' in page
    second.fault = "no upstream"
    assert ask(served, "GET", "/ready").json() == {"status": "degraded", "reason": "second: no upstream"}
    second.alive = False
    assert ask(served, "GET", "/ready").json()["status"] == "failed" and ask(served, "GET", "/health").status_code == 503


def test_two_real_ones(smollm2: str, tmp_path: Path) -> None:
    """The same twice: they say the same, and each has a cache of its own."""
    options = ("--model", f"a={smollm2}", "--model", f"b={smollm2}", "--model-kv-memory", "b=20", "--embedding-model", "none")
    with running(tmp_path / "log", *options, "--context", "512") as server:
        body = {"messages": HELLO, "max_tokens": 8, "seed": 1}
        answers = [httpx.post(f"{server.url}/v1/chat/completions", json={"model": name, **body}).json() for name in ("a", "b", "b")]
        assert [answer["model"] for answer in answers] == ["a", "b", "b"]
        assert len({answer["choices"][0]["message"]["content"] for answer in answers}) == 1
        assert [answer["usage"]["prompt_tokens_details"]["cached_tokens"] > 0 for answer in answers] == [False, False, True]
        page = httpx.get(f"{server.url}/metrics").text
        free = [float(line.split()[1]) for line in page.splitlines() if line.startswith("stoa_pages{") and 'state="free"' in line]
        assert len(free) == 2 and free[0] > 4 * free[1]
