"""Tools, the real thing: a server process, SmolLM2-135M, the official SDK, and a folder that the built-in MCP server shows."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openai import BadRequestError, OpenAI
from openai.types.chat import ChatCompletionMessage

from tests.server.conftest import Running, running

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "Name of the city"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS: Any = [{"type": "function", "function": {"name": "get_weather", "description": "Weather in a city", "parameters": SCHEMA}}]
ASKED: Any = [{"role": "user", "content": "What is the weather in Paris, in celsius?"}]


@pytest.fixture(scope="module")
def tooled(smollm2: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("shown")
    (folder / "note.txt").write_text("The password of the gate is periwinkle.")
    log = tmp_path_factory.mktemp("tooled") / "log"
    with running(log, "--model", smollm2, "--context", "8192", "--embedding-model", "none", "--mcp-files", str(folder)) as server:
        yield server


@pytest.fixture(scope="module")
def sdk(tooled: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{tooled.url}/v1", api_key="none", max_retries=0) as sdk:
        yield sdk


def test_what_is_required_is_called_with_arguments_that_fit(sdk: OpenAI) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        given: Any = choice
        answer = sdk.chat.completions.create(model="smollm2", messages=ASKED, tools=TOOLS, tool_choice=given, temperature=0, max_tokens=100)
        (call,) = answer.choices[0].message.tool_calls or []
        assert call.type == "function" and call.function.name == "get_weather" and answer.choices[0].finish_reason == "tool_calls"
        arguments = json.loads(call.function.arguments)
        Draft202012Validator(SCHEMA).validate(arguments)  # pyright: ignore[reportUnknownMemberType]
        assert arguments["city"] == "Paris"


def test_a_stream_says_the_same_and_the_result_is_read(sdk: OpenAI) -> None:
    given: Any = {"model": "smollm2", "messages": ASKED, "tools": TOOLS, "tool_choice": "required", "temperature": 0, "max_tokens": 100}
    with sdk.chat.completions.stream(**given) as stream:
        message = stream.get_final_completion().choices[0].message
    whole = sdk.chat.completions.create(**given).choices[0].message
    (call,), (same,) = message.tool_calls or [], whole.tool_calls or []
    assert (call.function.name, call.function.arguments) == (same.function.name, same.function.arguments)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
    for degrees in (31, 17):
        assert read(sdk, whole, degrees) == {"degrees": degrees}


def read(sdk: OpenAI, called: ChatCompletionMessage, degrees: int) -> Any:
    """What the model makes of a result. In a form, because free text of so small a model differs between processors."""
    call = (called.tool_calls or [])[0]
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": f"It is {degrees} degrees and sunny in Paris."}
    given: Any = {"messages": [*ASKED, called.model_dump(exclude_none=True), result], "tools": TOOLS, "tool_choice": "none"}
    schema = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"], "additionalProperties": False}
    form: Any = {"type": "json_schema", "json_schema": {"name": "weather", "strict": True, "schema": schema}}
    answer = sdk.chat.completions.create(model="smollm2", temperature=0, max_tokens=40, response_format=form, **given)
    return json.loads(answer.choices[0].message.content or "")


def test_a_tool_of_the_operators_mcp_server_runs_in_the_loop(tooled: Running, sdk: OpenAI) -> None:
    tools: Any = [{"type": "mcp", "server_label": "files", "allowed_tools": ["read_text"]}]
    asked: Any = [{"role": "user", "content": "Read the file note.txt and tell me the password of the gate."}]
    choice: Any = {"type": "mcp", "server_label": "files", "name": "read_text"}
    answer = sdk.chat.completions.create(model="smollm2", messages=asked, tools=tools, tool_choice=choice, temperature=0, max_tokens=400)
    message: Any = answer.choices[0].message
    assert message.mcp_calls and message.mcp_calls[0]["name"] == "read_text" and json.loads(message.mcp_calls[0]["arguments"])
    listed: Any = answer.model_extra
    assert [tool["name"] for tool in listed["mcp_list_tools"][0]["tools"]]
    page = httpx.get(f"{tooled.url}/metrics").text
    assert "stoa_turn_overhead_seconds_count" in page


def test_what_cannot_be_enforced_is_refused_by_name(sdk: OpenAI) -> None:
    strange: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"$ref": "#/x"}}}}}]
    with pytest.raises(BadRequestError) as refused:
        sdk.chat.completions.create(model="smollm2", messages=ASKED, tools=strange)
    assert refused.value.param == "tools.0.function.parameters"


WRITE: Any = {
    "name": "write_file",
    "parameters": {
        "type": "object",
        "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
        "required": ["path", "text"],
    },
}
TO_WRITE = "Write the file a.txt with this text: The quick brown fox jumps over the lazy dog. Pack my box with five dozen liquor jugs."


@pytest.mark.parametrize("most", [36, 60])
def test_a_call_that_does_not_fit_is_valid_and_says_so_in_every_api(tooled: Running, most: int) -> None:
    """To the last token."""
    with httpx.Client(base_url=tooled.url, timeout=120) as http:
        asked: Any = {"model": "smollm2", "temperature": 0}
        talk: Any = {"messages": [{"role": "user", "content": TO_WRITE}], "max_tokens": most}
        tools: Any = {"tools": [{"type": "function", "function": WRITE}], "tool_choice": "required"}
        chat = http.post("/v1/chat/completions", json={**asked, **talk, **tools}).json()
        (choice,) = chat["choices"]
        assert (choice["finish_reason"], chat["usage"]["completion_tokens"]) == ("length", most)
        arguments = json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"])
        assert set(arguments) == {"path", "text"}
        tools = {"tools": [{"name": "write_file", "input_schema": WRITE["parameters"]}], "tool_choice": {"type": "any"}}
        message = http.post("/v1/messages", json={**asked, **talk, **tools}).json()
        assert (message["stop_reason"], message["content"][0]["input"]) == ("max_tokens", arguments)
        tools = {"tools": [{"type": "function", **WRITE}], "tool_choice": "required", "input": TO_WRITE, "max_output_tokens": most}
        response = http.post("/v1/responses", json={**asked, **tools}).json()
        (item,) = response["output"]
        assert (response["status"], item["status"], json.loads(item["arguments"])) == ("incomplete", "incomplete", arguments)


def in_schema(sdk: OpenAI, schema: Any, question: str, most: int) -> tuple[str, Any]:
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    messages: Any = [{"role": "user", "content": question}]
    answer = sdk.chat.completions.create(model="smollm2", messages=messages, temperature=0, max_tokens=most, response_format=form)
    value = json.loads(answer.choices[0].message.content or "")
    Draft202012Validator(schema).validate(value)  # pyright: ignore[reportUnknownMemberType]
    return answer.choices[0].finish_reason, value


def of(**properties: Any) -> Any:
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING, INTEGER, URI = {"type": "string"}, {"type": "integer"}, {"type": "string", "format": "uri"}
ENDLESS = {
    "links": of(url=URI, links={"type": "array", "items": URI}),
    "numbers": of(n={"type": "array", "items": INTEGER}),
    "lines": of(lines={"type": "array", "items": of(sku=STRING, amount=INTEGER)}),
    "roles": of(roles={"type": "array", "items": {"type": "object"}}),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDLESS)
def test_answers_in_a_schema_are_valid_however_they_end(sdk: OpenAI, name: str) -> None:
    in_schema(sdk, ENDLESS[name], "Write one realistic example object", 400)


@pytest.mark.parametrize("most", [9, 40])
def test_answers_in_a_schema_are_valid_with_few_tokens(sdk: OpenAI, most: int) -> None:
    end, value = in_schema(sdk, of(city=STRING, population=INTEGER), "Tell me about Paris: city and population", most)
    assert end == "length" and {"city", "population"} <= set(value)
