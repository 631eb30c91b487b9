"""Ollama's API, with an engine that knows its lines and, once, with its official client."""

import json
from typing import Any

import pytest

from engine.api import JsonObject, JsonSchema
from server.http.warnings import WARNINGS_HEADER
from tests.server.fakes import FakeEngine, ask, calling, ready, says, text, tool_text

TEXT, TOOLS = text(), tool_text()
HELLO = [{"role": "user", "content": "Hello"}]
ECHO = {"type": "function", "function": {"name": "echo", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}}


def post(path: str, body: dict[str, Any], words: str = "Hi there.", *, tokenizer: Any = TEXT, status: int = 200) -> Any:
    """The lines of a stream, or the one object; and the engine."""
    fake = FakeEngine(says(words, tokenizer), context=4096)
    app, _ = ready(fake, tokenizer)
    response = ask(app, "POST", path, json={"model": "tiny", **body})
    assert response.status_code == status, response.text
    return [json.loads(line) for line in response.text.splitlines()], fake, response


def test_a_chat_is_a_stream_of_lines() -> None:
    lines, _, response = post("/api/chat", {"messages": HELLO})
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == "Hi there."
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    last = lines[-1]
    assert last["done_reason"] == "stop" and last["eval_count"] > 1 and last["total_duration"] > 0 and last["model"] == "tiny"
    assert last["prompt_eval_count"] == len(TEXT.encode_chat(HELLO).tokens)


def test_a_chat_as_a_whole() -> None:
    (answer,), _, _ = post("/api/chat", {"messages": HELLO, "stream": False, "model": "tiny:latest"})
    assert answer["message"] == {"role": "assistant", "content": "Hi there."} and answer["done"] is True


def test_options() -> None:
    options = {
        "temperature": 0,
        "num_predict": 3,
        "seed": 1,
        "stop": ["x"],
        "top_k": 5,
        "repeat_penalty": 1.1,
        "num_ctx": 512,
        "num_gpu": 1,
    }
    (answer,), fake, response = post("/api/chat", {"messages": HELLO, "stream": False, "options": options, "keep_alive": "5m"})
    sampling = fake.requests[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.seed, sampling.top_k) == (0, 3, 1, 5) and sampling.repetition_penalty == 1.1
    assert answer["done_reason"] == "length"
    assert response.headers[WARNINGS_HEADER] == "keep_alive, options.num_ctx, options.num_gpu"
    assert [warning["param"] for warning in answer["warnings"]] == ["keep_alive", "options.num_ctx", "options.num_gpu"]


@pytest.mark.parametrize(("format", "grammar"), [("json", JsonObject()), ({"type": "object"}, JsonSchema), ("", None), (None, None)])
def test_formats(format: Any, grammar: Any) -> None:
    for path, body in (("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "Hello"})):
        _, fake, _ = post(path, {**body, "format": format}, "{}")
        found = fake.requests[0].grammar
        assert isinstance(found, JsonSchema) if grammar is JsonSchema else found == grammar


def test_tool_calls_are_sent_whole() -> None:
    words = calling("echo", json.dumps({"text": "a b"}))
    lines, _, _ = post("/api/chat", {"messages": HELLO, "tools": [ECHO]}, words, tokenizer=TOOLS)
    calls = [call for line in lines for call in line["message"].get("tool_calls", [])]
    assert [call["function"] for call in calls] == [{"index": 0, "name": "echo", "arguments": {"text": "a b"}}]
    assert lines[-1]["done_reason"] == "stop"
    (whole,), _, _ = post("/api/chat", {"messages": HELLO, "tools": [ECHO], "stream": False}, words, tokenizer=TOOLS)
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == {"text": "a b"}


def test_tool_outputs_find_their_calls() -> None:
    asked = {"role": "assistant", "tool_calls": [{"function": {"name": name, "arguments": {"text": name}}} for name in ("echo", "other")]}
    outputs = [{"role": "tool", "tool_name": "other", "content": "SECOND"}, {"role": "tool", "content": "FIRST"}]
    _, fake, _ = post("/api/chat", {"messages": [*HELLO, asked, *outputs], "tools": [ECHO]}, tokenizer=TOOLS)
    prompt = TOOLS.decode(fake.requests[0].tokens)
    assert '"echo"' in prompt and prompt.index("SECOND") < prompt.index("FIRST")
    (error,), _, _ = post("/api/chat", {"messages": [*HELLO, *outputs]}, tokenizer=TOOLS, status=400)
    assert error["error"].startswith("messages.1")


def test_generate() -> None:
    lines, fake, _ = post("/api/generate", {"prompt": "Hello", "system": "Be brief."})
    assert "".join(line["response"] for line in lines) == "Hi there." and lines[-1]["done"]
    assert fake.requests[0].tokens == TEXT.encode_chat([{"role": "system", "content": "Be brief."}, *HELLO]).tokens
    (whole,), _, _ = post("/api/generate", {"prompt": "Hello", "stream": False})
    assert whole["response"] == "Hi there."
    lines, fake, _ = post("/api/generate", {"prompt": "<|im_start|>user", "raw": True})
    assert fake.requests[0].tokens == TEXT.encode("<|im_start|>user", parse_special=True, add_special=True)
    assert "".join(line["response"] for line in lines) == "Hi there."


def test_asking_for_nothing_loads_the_model() -> None:
    for path, body in (("/api/chat", {"messages": []}), ("/api/generate", {})):
        (line,), fake, _ = post(path, body)
        assert line["done_reason"] == "load" and line["done"] and not fake.requests


@pytest.mark.parametrize(
    ("path", "body", "named", "status"),
    [
        ("/api/chat", {"messages": HELLO, "model": "other"}, "other", 404),
        ("/api/chat", {"messages": [{**HELLO[0], "images": ["aGk="]}]}, "images", 400),
        ("/api/chat", {"messages": HELLO, "options": {"num_ctx": 10**6}}, "options.num_ctx", 400),
        ("/api/generate", {"prompt": "a", "suffix": "b"}, "suffix", 400),
        ("/api/generate", {"prompt": "a", "context": [1]}, "context", 400),
        ("/api/generate", {"prompt": "a", "template": "{{.Prompt}}"}, "template", 400),
        ("/api/generate", {"prompt": "a", "nonsense": 1}, "nonsense", 400),
        ("/api/show", {"model": "other"}, "other", 404),
    ],
)
def test_what_is_refused(path: str, body: dict[str, Any], named: str, status: int) -> None:
    (line,), _, _ = post(path, body, status=status)
    assert list(line) == ["error"] and named in line["error"]


def test_what_is_told_of_models() -> None:
    app, _ = ready(FakeEngine(says("", TOOLS), parameters=134_500_000), TOOLS, parts={"aliases": {"gpt-4o": "tiny"}})
    tags = ask(app, "GET", "/api/tags").json()["models"]
    assert [model["name"] for model in tags] == ["tiny:latest", "gpt-4o:latest"] and tags[0]["details"]["parameter_size"] == "134.5M"
    shown = ask(app, "POST", "/api/show", json={"model": "tiny"}).json()
    assert shown["capabilities"] == ["completion", "tools"] and "messages" in shown["template"]
    assert shown["model_info"]["general.parameter_count"] == 134_500_000
    assert ask(app, "GET", "/api/version").json()["version"]
    assert ask(app, "GET", "/api/ps").json()["models"][0]["model"] == "tiny:latest"


def test_logprobs() -> None:
    for path, body in (
        ("/api/chat", {"messages": HELLO}),
        ("/api/generate", {"prompt": "Hello"}),
        ("/api/generate", {"prompt": "a", "raw": True}),
    ):
        lines, _, _ = post(path, {**body, "logprobs": True, "top_logprobs": 2})
        logged = [entry for line in lines for entry in line.get("logprobs", [])]
        assert bytes(byte for entry in logged for byte in entry["bytes"]).decode() == "Hi there."
        assert all(len(entry["top_logprobs"]) == 2 and entry["logprob"] < 0 for entry in logged)
        (whole,), _, _ = post(path, {**body, "logprobs": True, "top_logprobs": 2, "stream": False})
        assert whole["logprobs"] == logged
        (plain,), _, _ = post(path, {**body, "stream": False})
        assert "logprobs" not in plain
        (error,), _, _ = post(path, {**body, "top_logprobs": 2}, status=400)
        assert "top_logprobs" in error["error"]


def test_an_answer_that_has_begun_is_continued() -> None:
    begun = [*HELLO, {"role": "assistant", "content": "Hi"}]
    (answer,), fake, _ = post("/api/chat", {"messages": begun, "stream": False}, " there.")
    assert answer["message"]["content"] == " there."
    assert TEXT.decode(fake.requests[0].tokens).endswith("<|im_start|>assistant\nHi")
    _, fake, _ = post("/api/chat", {"messages": [*HELLO, {"role": "assistant", "content": ""}]})
    assert TEXT.decode(fake.requests[0].tokens).endswith("<|im_start|>assistant\n")


def test_the_oldest_messages_are_dropped_unless_the_client_forbids_it() -> None:
    long = [{"role": "user", "content": "word " * 3000}, {"role": "assistant", "content": "Yes."}, *HELLO]
    _, fake, _ = post("/api/chat", {"messages": long})
    assert len(fake.requests[0].tokens) < 100
    (error,), _, _ = post("/api/chat", {"messages": long, "truncate": False}, status=400)
    assert "context" in error["error"]


def test_what_is_null_is_not_there() -> None:
    """As Ollama, written in Go, reads JSON."""
    called = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "echo", "arguments": None}}]}
    nulls = {"format": None, "options": None, "tools": None, "think": None, "logprobs": None, "keep_alive": None}
    output = {"role": "tool", "content": None, "name": "echo"}
    _, fake, _ = post("/api/chat", {"messages": [*HELLO, called, output], **nulls}, tokenizer=TOOLS)
    assert '"arguments": {}' in TOOLS.decode(fake.requests[0].tokens)
    (line,), _, _ = post("/api/chat", {"messages": None})
    assert line["done_reason"] == "load"
    (line,), _, _ = post("/api/generate", {"prompt": None})
    assert line["done_reason"] == "load"
    post("/api/generate", {"prompt": "a", "template": "", "context": [], "images": [], "system": None, "raw": None})


def test_forms_of_messages() -> None:
    given = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": None}, *HELLO]
    _, fake, _ = post("/api/chat", {"messages": given})
    assert "Be brief." in TEXT.decode(fake.requests[0].tokens)
    called = {"role": "assistant", "tool_calls": [{"function": {"name": "echo", "arguments": '{"text": "as text"}'}}]}
    _, fake, _ = post("/api/chat", {"messages": [*HELLO, called, {"role": "tool", "content": "x"}]}, tokenizer=TOOLS)
    assert "as text" in TOOLS.decode(fake.requests[0].tokens)


def test_shifting_the_context_is_a_hint() -> None:
    _, _, response = post("/api/chat", {"messages": HELLO, "shift": True})
    assert response.headers[WARNINGS_HEADER] == "shift"
    _, _, response = post("/api/chat", {"messages": HELLO, "shift": False, "truncate": True})
    assert WARNINGS_HEADER not in response.headers
