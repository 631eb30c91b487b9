"""Small requests that would take much work are refused at once, on every endpoint, by the field and the limit."""

from typing import Any

import pytest

from tests.server.fakes import FakeEngine, ask, ready, says, text

TEXT = text()
HELLO = [{"role": "user", "content": "Hello"}]
ENDLESS = {"type": "object", "properties": {"n": {"$ref": "#/$defs/N"}}, "required": ["n"], "$defs": {"N": {"$ref": "#/$defs/N"}}}
MULTIPLE = {"type": "object", "properties": {"n": {"type": "integer", "multipleOf": 999983}}, "required": ["n"]}
MANY = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(2000)}}


def ways(schema: dict[str, Any], *, strict: bool) -> list[tuple[str, dict[str, Any]]]:
    """Each endpoint to which a schema may be sent, with a body that has it."""
    form = {"name": "x", "schema": schema, "strict": strict}
    function = {"name": "f", "parameters": schema, "strict": strict}
    chat, responses = {"messages": HELLO}, {"input": "Hello", "store": False}
    return [
        ("/v1/chat/completions", {**chat, "response_format": {"type": "json_schema", "json_schema": form}}),
        ("/v1/chat/completions", {**chat, "tools": [{"type": "function", "function": function}]}),
        ("/v1/chat/completions", {**chat, "stream": True, "tools": [{"type": "function", "function": function}]}),
        ("/v1/completions", {"prompt": "x", "structured_outputs": {"json": schema}}),
        ("/v1/responses", {**responses, "text": {"format": {"type": "json_schema", **form}}}),
        ("/v1/responses", {**responses, "tools": [{"type": "function", **function}]}),
        ("/v1/messages", {**chat, "max_tokens": 9, "tools": [{"name": "f", "input_schema": schema}]}),
    ]


def refusal(path: str, body: dict[str, Any]) -> str:
    engine = FakeEngine(says("x", TEXT))
    answer = ask(ready(engine, TEXT)[0], "POST", path, json={"model": "tiny", **body})
    assert answer.status_code == 400, answer.text
    assert not engine.requests
    if not path.endswith("messages"):
        assert answer.json()["error"]["code"] == "invalid_schema"
    return answer.text


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("way", range(7))
def test_a_schema_that_never_ends(way: int, strict: bool) -> None:
    told = refusal(*ways(ENDLESS, strict=strict)[way])
    assert "properties.n never comes to an end" in told


@pytest.mark.parametrize(("schema", "limit"), [(MANY, "limit is 1000"), (MULTIPLE, "limit is 10000")])
@pytest.mark.parametrize("way", range(6))
def test_a_schema_that_is_too_large(way: int, schema: dict[str, Any], limit: str) -> None:
    assert limit in refusal(*ways(schema, strict=True)[way])


@pytest.mark.parametrize(
    ("outputs", "limit"),
    [
        ({"choice": [str(i) for i in range(15_000)]}, "limit is 10000"),
        ({"choice": ["ab" * 500_000]}, "limit is 262144"),
        ({"regex": "(a{1000}){1000}"}, "limit is 10000"),
        ({"regex": "(" * 5000}, "limit is 4096"),
    ],
)
def test_choices_and_patterns(outputs: dict[str, Any], limit: str) -> None:
    for path, body in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "x"})):
        assert limit in refusal(path, {**body, "structured_outputs": outputs})


def test_biases() -> None:
    engine = FakeEngine(says("x", TEXT))
    for path, body in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "x"})):
        bias = {str(i): 1 for i in range(15_000)}
        answer = ask(ready(engine, TEXT)[0], "POST", path, json={"model": "tiny", "logit_bias": bias, **body})
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == "logit_bias"
        assert "1024" in answer.text


def test_an_answer_without_a_limit_has_the_operators() -> None:
    engine = FakeEngine(says("x " * 100, TEXT))
    app, _ = ready(engine, TEXT, parts={"max_answer_tokens": 7})
    bodies = [
        ("/v1/chat/completions", {"messages": HELLO}),
        ("/v1/responses", {"input": "Hello", "store": False}),
        ("/v1/chat/completions", {"messages": HELLO, "max_tokens": 30}),
    ]
    for path, body in bodies:
        assert ask(app, "POST", path, json={"model": "tiny", **body}).status_code == 200
    assert [request.sampling.max_tokens for request in engine.requests] == [7, 7, 30]


def test_bodies_of_very_many_values() -> None:
    """Refused before they are read into objects."""
    bias = {str(i): 1 for i in range(49_000)}
    app, _ = ready(FakeEngine(says("x", TEXT)), TEXT)
    answer = ask(app, "POST", "/v1/chat/completions", json={"model": "tiny", "messages": HELLO, "logit_bias": bias})
    assert answer.status_code == 400 and answer.json()["error"]["code"] == "too_many_values"
