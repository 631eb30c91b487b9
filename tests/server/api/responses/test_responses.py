"""POST /v1/responses: what comes back, whole and as events."""

import json
from typing import Any

import pytest

from engine.api import JsonSchema
from server.api.responses.types.response import Response
from tests.server.api.responses.responses_client import HELLO, WEATHER, api_client, event_types, output_text, replay, validated
from tests.server.fakes import calling

LONDON, PARIS = calling("weather", '{"city": "London"}'), calling("weather", '{"city": "Paris"}')


def test_an_answer() -> None:
    answer = api_client("Paris, of course 🤖!").post(input=HELLO, instructions="Be brief.", metadata={"a": "b"}, user="me", temperature=0.5)
    assert answer["object"] == "response" and answer["status"] == "completed" and answer["model"] == "tiny"
    (message,) = answer["output"]
    assert message["role"] == "assistant" and message["status"] == "completed"
    assert message["content"] == [{"type": "output_text", "text": "Paris, of course 🤖!", "annotations": [], "logprobs": []}]
    assert answer["instructions"] == "Be brief." and answer["metadata"] == {"a": "b"} and answer["temperature"] == 0.5
    assert answer["tools"] == [] and answer["tool_choice"] == "auto" and answer["parallel_tool_calls"] is True
    assert answer["text"] == {"format": {"type": "text"}, "verbosity": "medium"} and answer["truncation"] == "disabled"
    assert answer["completed_at"] >= answer["created_at"] and answer["store"] is True
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] and usage["input_tokens_details"]["cached_tokens"] == 1


def test_a_stream_tells_the_same() -> None:
    events = api_client("Paris, of course.").stream(input=HELLO)
    assert event_types(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress" and events[0]["response"]["output"] == []
    final = validated(events[-1]["response"])
    assert replay(events)[0]["content"] == final["output"][0]["content"] and output_text(final) == "Paris, of course."
    assert events[0]["response"]["id"] == final["id"]


def test_an_answer_that_is_cut_off() -> None:
    api = api_client("a b c d e f g h i j k l m n o p q r s t u v w x y z")
    answer = api.post(input=HELLO, max_output_tokens=16)
    assert answer["status"] == "incomplete" and answer["incomplete_details"] == {"reason": "max_output_tokens"}
    assert answer["output"][0]["status"] == "incomplete" and answer["completed_at"] is None
    events = api.stream(input=HELLO, max_output_tokens=16)
    assert events[-1]["type"] == "response.incomplete" and events[-1]["response"]["usage"]["output_tokens"] == 16


def test_a_model_with_nothing_to_say() -> None:
    answer = api_client("").post(input=HELLO)
    assert answer["status"] == "completed" and answer["output"][0]["content"][0]["text"] == ""


def test_logprobs() -> None:
    include = ["message.output_text.logprobs"]
    api = api_client("Paris.")
    answer = api.post(input=HELLO, include=include, top_logprobs=2)
    logprobs = answer["output"][0]["content"][0]["logprobs"]
    assert "".join(entry["token"] for entry in logprobs).startswith("Paris.") and len(logprobs[0]["top_logprobs"]) == 2
    assert answer["top_logprobs"] == 2
    events = api.stream(input=HELLO, include=include)
    assert [entry for event in events if event["type"].endswith("text.delta") for entry in event["logprobs"]]
    assert api.ask("GET", f"/{answer['id']}")["output"][0]["content"][0]["logprobs"] == []
    assert api.ask("GET", f"/{answer['id']}?include[]={include[0]}")["output"] == answer["output"]
    assert api.post(input=HELLO, top_logprobs=2, status=400)["param"] == "top_logprobs"


def test_a_function_call_and_its_output() -> None:
    api = api_client(f"I look.{LONDON}", "It rains.")
    first = api.post(input="The weather?", tools=[WEATHER])
    message, call = first["output"]
    assert message["content"][0]["text"] == "I look." and first["status"] == "completed"
    assert (call["type"], call["name"], call["status"]) == ("function_call", "weather", "completed")
    assert call["arguments"] == '{"city": "London"}' and call["call_id"].startswith("call_") and call["id"].startswith("fc_")
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
    second = api.post(previous_response_id=first["id"], input=[output], tools=[WEATHER])
    assert output_text(second) == "It rains."
    assert "London" in api.prompts[1] and "rain" in api.prompts[1]
    manual = [{"role": "user", "content": "The weather?"}, *first["output"], output]
    api.post(input=manual, tools=[WEATHER], store=False)
    assert api.engine.requests[2].tokens == api.engine.requests[1].tokens


def test_function_calls_as_events() -> None:
    api = api_client(LONDON + "\n" + PARIS)
    events = api.stream(input="The weather?", tools=[WEATHER])
    assert event_types(events)[2:-1] == 2 * [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
    ]
    made = events[-1]["response"]["output"]
    assert [call["arguments"] for call in made] == ['{"city": "London"}', '{"city": "Paris"}']
    assert [call["arguments"] for call in replay(events)] == [call["arguments"] for call in made]
    done = [event for event in events if event["type"].endswith("arguments.done")]
    assert [(event["name"], event["arguments"]) for event in done] == [("weather", call["arguments"]) for call in made]


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ([{"type": "function_call_output", "call_id": "call_1", "output": "x"}], "input.0.call_id"),
        ([{"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"}], "input"),
        (
            [
                {"type": "function_call", "call_id": "call_1", "name": "weather", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "name": "time", "output": "x"},
            ],
            "input.1.name",
        ),
        ([{"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True}], "input.0.approval_request_id"),
        ([{"type": "item_reference", "id": "msg_1"}], "input.0.id"),
        ([{"type": "web_search_call", "id": "ws_1"}], "input.0"),
        ([{"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}], "input.0.content.0.image_url"),
        ([], "input"),
    ],
)
def test_items_that_fit_nothing(items: list[Any], param: str) -> None:
    status = 404 if param.endswith(".id") else 400
    assert api_client().post(input=items, status=status)["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools.0"),
        ({"tools": [{"type": "mcp", "server_label": "nobody"}]}, "tools.0.server_label"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "time"}}, "tool_choice.name"),
        ({"tools": [WEATHER], "tool_choice": {"type": "mcp", "server_label": "db"}}, "tool_choice.server_label"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": {"type": "file_search"}}, "tool_choice"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True, "store": False}, "store"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": "conv_1", "previous_response_id": "resp_1"}, "conversation"),
        ({"max_output_tokens": 3}, "max_output_tokens"),
        ({"model": "gpt"}, "model"),
        ({"bogus": 1}, "bogus"),
    ],
)
def test_what_is_refused(body: dict[str, Any], param: str) -> None:
    api = api_client()
    status = 404 if param == "model" or body == {"conversation": "conv_1"} else 400
    assert api.post(**{"input": HELLO, **body}, status=status)["param"] == param
    assert not api.engine.requests


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", True),
        ("required", True),
        ({"type": "function", "name": "weather"}, True),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "weather"}]}, True),
        ({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "time"}]}, False),
        ("none", False),
    ],
)
def test_tool_choice(choice: Any, called: bool) -> None:
    answer = api_client(LONDON).post(input=HELLO, tools=[WEATHER, {**WEATHER, "name": "time"}], tool_choice=choice)
    assert ([item["type"] for item in answer["output"]] == ["function_call"]) == called
    assert answer["tool_choice"] == choice


def test_formats() -> None:
    api = api_client('{"city": "Paris"}')
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": False}
    asked = {"format": {"type": "json_schema", "name": "city", "schema": schema, "strict": True}}
    assert api.post(input=HELLO, text=asked)["text"] == {**asked, "verbosity": "medium"}
    assert api.post(input=HELLO, text={"format": {"type": "json_object"}})["text"]["format"] == {"type": "json_object"}
    assert all(request.grammar is not None for request in api.engine.requests)


@pytest.mark.parametrize(("strict", "lenient"), [({}, True), ({"strict": False}, True), ({"strict": True}, False)], ids=str)
def test_only_what_is_strict_is_enforced_as_a_whole(strict: dict[str, bool], lenient: bool) -> None:
    api = api_client("{}")
    schema = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}}, "required": ["a"]}
    api.post(input=HELLO, text={"format": {"type": "json_schema", "name": "x", "schema": schema, **strict}})
    assert api.engine.requests[-1].grammar == JsonSchema(schema=json.dumps(schema), lenient=lenient)
    function = {"type": "function", "name": "f", "parameters": schema, **strict}
    answer = api.post(input=HELLO, tools=[function], status=200 if lenient else 400)
    assert answer["tools"][0]["strict"] is False if lenient else answer["param"] == "tools.0.parameters"


def test_input_tokens() -> None:
    api = api_client()
    answer = api.post(input=HELLO, instructions="Be brief.", tools=[WEATHER])
    counted = api.ask("POST", "/input_tokens", json={"input": HELLO, "instructions": "Be brief.", "tools": [WEATHER]})
    assert counted == {"object": "response.input_tokens", "input_tokens": answer["usage"]["input_tokens"]}
    assert api.ask("POST", "/input_tokens", json={"previous_response_id": answer["id"]})["input_tokens"] > 0
    assert len(api.engine.requests) == 1


def test_without_a_database_nothing_is_stored() -> None:
    api = api_client(archive=False)
    answer = api.post(input=HELLO)
    assert answer["store"] is False
    assert api.ask("GET", f"/{answer['id']}", status=404)
    assert api.post(input=HELLO, store=True, status=400)["param"] == "store"
    assert api.post(input=HELLO, background=True, status=400)["param"] == "background"


def test_the_type_has_what_is_sent() -> None:
    assert set(Response.model_fields) >= set(api_client().post(input=HELLO, user="me"))
