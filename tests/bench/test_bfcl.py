"""What counts as valid and as right, on cases like those of the set."""

import json
from pathlib import Path
from typing import Any

import pytest

from bench.bfcl import json_schema, read, right, tool_name, valid

WEATHER = {"get_weather": {"city": ["New York", "NYC"], "days": [3], "unit": ["", "C"]}}


def call(name: str = "get_weather", **arguments: Any) -> tuple[str, str]:
    return name, json.dumps(arguments)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ([call(city="new york", days=3)], True),
        ([call(city="NYC", days=3, unit="C")], True),
        ([call(city="NYC", days=4)], False),
        ([call(city="NYC", days=True)], False),
        ([call(city="NYC")], False),
        ([call(city="NYC", days=3, unit="F")], False),
        ([call(city="NYC", days=3, more=1)], False),
        ([call("other", city="NYC", days=3)], False),
        ([call(city="NYC", days=3), call(city="NYC", days=3)], False),
        ([("get_weather", "{")], False),
        ([], False),
    ],
)
def test_right(given: list[tuple[str, str]], fits: bool) -> None:
    assert right(given, [WEATHER]) is fits


def test_calls_in_any_order_each_once() -> None:
    two = [{"f": {"x": [1]}}, {"f": {"x": [2]}}]
    assert right([call("f", x=2), call("f", x=1)], two)
    assert not right([call("f", x=1), call("f", x=1)], two)


def test_objects_and_lists_within() -> None:
    wanted = [{"f": {"of": [{"a": [1, 2], "b": ["", "x"]}], "list": [["p", "q"]]}}]
    assert right([call("f", of={"a": 2}, list=["P", "q"])], wanted)
    assert not right([call("f", of={"a": 3}, list=["p", "q"])], wanted)
    assert not right([call("f", of={"a": 1, "c": 1}, list=["p", "q"])], wanted)


def test_pythons_types_become_json_schema() -> None:
    given = {
        "type": "dict",
        "properties": {"type": {"type": "float"}, "x": {"type": "any"}, "y": {"type": "array", "items": {"type": "tuple"}}},
    }
    assert json_schema(given) == {
        "type": "object",
        "properties": {"type": {"type": "number"}, "x": {}, "y": {"type": "array", "items": {"type": "array"}}},
    }
    assert tool_name("math.hypot") == "math_hypot"


def test_a_set_as_it_lies_there(tmp_path: Path) -> None:
    asked = {
        "id": "simple_0",
        "question": [[{"role": "user", "content": "5!"}]],
        "function": [
            {
                "name": "math.factorial",
                "description": "d",
                "parameters": {"type": "dict", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            }
        ],
    }
    (tmp_path / "BFCL_v4_simple_python.json").write_text(json.dumps(asked) + "\n")
    answer = {"id": "simple_0", "ground_truth": [{"math.factorial": {"n": [5]}}]}
    (tmp_path / "possible_answer_simple_python.json").write_text(json.dumps(answer) + "\n")
    (case,) = read(tmp_path, "simple")
    assert right([call("math_factorial", n=5)], case.expected)
    assert valid(call("math_factorial", n=5), case.tools) is None
    for wrong in (
        call("math_factorial", n="5"),
        call("math_factorial"),
        call("other", n=5),
        ("math_factorial", "{"),
        call("math_factorial", n=5, m=1),
    ):
        assert valid(wrong, case.tools)
