"""The validator itself: what it must find in an answer that is almost right."""

from copy import deepcopy
from typing import Any

import pytest

from tests.server.api.responses.responses_client import WEATHER, api_client
from tests.server.api.schema.answers import answer_faults
from tests.server.api.schema.extensions import EXTENSIONS, NULLABLE
from tests.server.api.schema.strict import faults, specification
from tests.server.fakes import calling


def answer() -> Any:
    return api_client("I look." + calling("weather", '{"city": "Rome"}')).post(input="The weather?", tools=[WEATHER])


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        (("bogus",), 1, "Response: has bogus"),
        (("id",), None, "Response.id: None is no string"),
        (("status",), "done", "Response.status: 'done' is none of"),
        (("parallel_tool_calls",), 1, "Response.parallel_tool_calls: 1 is no boolean"),
        (("usage", "input_tokens"), 1.5, "Response.usage.input_tokens: 1.5 is no integer"),
        (("usage", "odd"), 1, "Response.usage: has odd"),
        (("output", 0, "odd"), 1, "Response.output[0]: has odd"),
        (("output", 0, "status"), "done", "Response.output[0].status: 'done' is none of"),
        (("output", 0, "content", 0, "odd"), 1, "Response.output[0].content[0]: has odd"),
        (("output", 1, "arguments"), {}, "Response.output[1].arguments: {} is no string"),
        (("tools", 0, "odd"), 1, "Response.tools[0]: has odd"),
    ],
)
def test_a_wrong_value_is_found_where_it_is(path: tuple[str | int, ...], value: Any, told: str) -> None:
    good = answer()
    assert faults("Response", good) == []
    changed = deepcopy(good)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert [fault for fault in faults("Response", changed) if fault.startswith(told)], faults("Response", changed)


@pytest.mark.parametrize(
    "path", [("id",), ("output",), ("tools",), ("output", 0, "content"), ("output", 1, "call_id"), ("usage", "total_tokens")]
)
def test_a_missing_field_is_found(path: tuple[str | int, ...]) -> None:
    changed = answer()
    place = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    assert [fault for fault in faults("Response", changed) if fault.endswith(f"lacks {path[-1]}")]


def test_an_event_of_another_kind_is_found() -> None:
    event = {
        "type": "response.output_text.delta",
        "sequence_number": 1,
        "item_id": "m",
        "output_index": 0,
        "content_index": 0,
        "delta": "x",
    }
    assert faults("ResponseStreamEvent", {**event, "logprobs": []}) == [] != faults("ResponseStreamEvent", event)
    assert faults("ResponseStreamEvent", {**event, "logprobs": [], "type": "response.output_text.odd"})


def test_answers_are_found_by_their_path() -> None:
    deleted = '{"id": "a", "object": "file", "deleted": true}'
    assert answer_faults("DELETE", "/files/a?x=1", 200, "application/json", deleted) == []
    assert answer_faults("GET", "/files/a", 200, "application/json", deleted)
    assert (
        answer_faults("GET", "/files/a", 404, "application/json", '{"error": {"message": "x", "type": "y", "param": null, "code": null}}')
        == []
    )
    assert answer_faults("GET", "/files/a", 404, "application/json", '{"error": {"message": "x"}}')
    assert answer_faults("POST", "/responses", 200, "text/event-stream; charset=utf-8", 'data: {"type": "odd"}\n\n')
    assert answer_faults("GET", "/of_ours", 200, "application/json", "{}") == []


def test_what_is_allowed_besides_has_a_reason_and_is_still_unknown_to_the_specification() -> None:
    for name, fields in (*EXTENSIONS.items(), *NULLABLE.items()):
        assert all(fields.values())
        known = specification()["schemas"].get(name, {}).get("properties", {})
        assert not known.keys() & EXTENSIONS.get(name, {}).keys(), name
