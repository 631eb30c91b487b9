"""Tools that the client runs: custom tools, namespaces, and hosted tools beside them, which are left out."""

import json
from typing import Any

import pytest

from server.api.responses.client_tools import custom_arguments, custom_input
from server.http.warnings import WARNINGS_HEADER
from tests.server.fakes import FakeEngine, ask, ready, says, tool_text

TEXT = tool_text()
ECHO = {"type": "function", "name": "echo", "parameters": {"type": "object", "properties": {"text": {"type": "string"}}}}
PATCH = {"type": "custom", "name": "apply_patch", "description": "Edits files", "format": {"type": "text"}}
SPACE = {"type": "namespace", "name": "repl", "description": "A shell", "tools": [ECHO, PATCH]}


def call(name: str, arguments: dict[str, Any]) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def post(words: str, *, status: int = 200, **body: Any) -> Any:
    fake = FakeEngine(says(words, TEXT), context=4096)
    app, _ = ready(fake, TEXT)
    response = ask(app, "POST", "/v1/responses", json={"model": "tiny", "input": "Hello", "store": False, **body})
    assert response.status_code == status, response.text
    if body.get("stream"):
        return [json.loads(line[6:]) for line in response.text.splitlines() if line.startswith("data: {")]
    return response, TEXT.decode(fake.requests[0].tokens) if fake.requests else ""


def test_a_custom_tool_is_called_with_a_text() -> None:
    words = call("apply_patch", {"input": 'line "one"\nline two'})
    response, prompt = post(words, tools=[PATCH])
    (item,) = response.json()["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "apply_patch", 'line "one"\nline two')
    assert "Edits files" in prompt
    events = post(words, tools=[PATCH], stream=True)
    kinds = [event["type"] for event in events]
    assert kinds.index("response.custom_tool_call_input.delta") < kinds.index("response.custom_tool_call_input.done")
    assert "".join(e["delta"] for e in events if e["type"].endswith("input.delta")) == item["input"]


def test_a_call_of_a_custom_tool_is_answered() -> None:
    items = [
        {"role": "user", "content": "Patch it"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": "- a\n+ b"},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done it"},
    ]
    _, prompt = post("Fine.", tools=[PATCH], input=items)
    assert json.dumps("- a\n+ b") in prompt and "done it" in prompt


def test_tools_of_a_namespace() -> None:
    response, prompt = post(call("repl__echo", {"text": "hi"}), tools=[SPACE])
    (item,) = response.json()["output"]
    assert (item["type"], item["namespace"], item["name"]) == ("function_call", "repl", "echo")
    assert "repl__echo" in prompt and "repl__apply_patch" in prompt
    given = {key: item[key] for key in ("type", "call_id", "namespace", "name", "arguments")}
    output = {"type": "function_call_output", "call_id": item["call_id"], "output": "hi there", "name": "echo"}
    _, prompt = post("Fine.", tools=[SPACE], input=[{"role": "user", "content": "Say hi"}, given, output])
    assert "repl__echo" in prompt and "hi there" in prompt


def test_a_namespace_that_does_not_fit_is_left_out() -> None:
    large = {**SPACE, "tools": [{**ECHO, "description": "word " * 5000}]}
    response, prompt = post("Hi.", tools=[ECHO, large])
    assert response.headers[WARNINGS_HEADER] == "tools.1" and "repl__echo" not in prompt and '"echo"' in prompt
    assert post("Hi.", tools=[{**ECHO, "description": "word " * 5000}], status=400)[0].json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("kind", ["web_search", "image_generation", "tool_search", "local_shell", "code_interpreter"])
def test_hosted_tools_are_left_out(kind: str) -> None:
    hosted = {"type": kind, **({"container": {"type": "auto"}} if kind == "code_interpreter" else {}), "odd": True}
    response, prompt = post("Hi.", tools=[ECHO, hosted])
    assert response.headers[WARNINGS_HEADER] == "tools.1" and kind in response.json()["warnings"][0]["message"]
    assert '"echo"' in prompt and kind not in prompt
    assert post("Hi.", tools=[hosted], status=400)[0].json()["error"]["param"] == "tools.0"


def test_a_coding_agent_sends_all_of_it() -> None:
    include, tools = ["reasoning.encrypted_content", "something.new"], [ECHO, SPACE, PATCH, {"type": "web_search"}]
    response, _ = post("Hi.", tools=tools, include=include, client_metadata={"session": "x"}, parallel_tool_calls=False)
    assert response.headers[WARNINGS_HEADER] == "tools.3, include.1"
    assert [tool["type"] for tool in response.json()["tools"]] == ["function", "namespace", "custom", "web_search"]


def test_a_grammar_of_a_custom_tool_is_not_enforced() -> None:
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}
    response, _ = post("Hi.", tools=[{**PATCH, "format": grammar}])
    assert response.headers[WARNINGS_HEADER] == "tools.0.format"


def test_what_is_no_tool_is_refused() -> None:
    for tool in ({"type": "nonsense"}, {"type": "custom"}, {"type": "namespace", "name": "a", "tools": [{"type": "mcp"}]}, {}):
        assert post("Hi.", tools=[tool], status=400)[0].json()["error"]["param"].startswith("tools.0")


def test_a_custom_choice() -> None:
    response, _ = post(call("apply_patch", {"input": "x"}), tools=[PATCH, ECHO], tool_choice={"type": "custom", "name": "apply_patch"})
    assert response.json()["output"][0]["input"] == "x"
    refused, _ = post("Hi.", tools=[ECHO], tool_choice={"type": "custom", "name": "other"}, status=400)
    assert refused.json()["error"]["param"] == "tool_choice.name"


def test_texts_survive_the_way_there_and_back() -> None:
    for text in ("", 'a "b"\n\\', "ü 🤖"):
        assert custom_input(custom_arguments(text)) == text
    assert custom_input('{"input": "cut o') == '{"input": "cut o'
