"""Names that the model knows, and arguments that fit."""

import re
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.chat.tools.arguments import parse_arguments
from server.chat.tools.toolset import Toolset, any_tool_of, model_name
from server.core.messages import NamedTools
from server.core.request import McpToolset
from tests.server.fake_host import tool

NAMES = st.text(max_size=80) | st.from_regex(r"[a-z_.]{1,8}", fullmatch=True)


@given(first=st.tuples(NAMES, NAMES), second=st.tuples(NAMES, NAMES))
def test_names_are_what_models_may_call_and_never_the_same(first: tuple[str, str], second: tuple[str, str]) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,64}", model_name(*first))
    assert (model_name(*first) == model_name(*second)) == (first == second)


def test_plain_names_stay_plain() -> None:
    assert model_name("files", "read_text") == "files__read_text"


def test_whole_servers_can_be_chosen() -> None:
    box = (
        Toolset()
        .with_server(McpToolset(server_label="a", field=""), [tool("x"), tool("y")])
        .with_server(McpToolset(server_label="b", field=""), [tool("x")])
    )
    assert box.resolve_choice(NamedTools(names=(any_tool_of("a"),))) == NamedTools(names=("a__x", "a__y"))
    assert box.resolve_choice(NamedTools(names=("b__x", "c__z"))) == NamedTools(names=("b__x",))


def test_a_server_is_described_once() -> None:
    asked = McpToolset(server_label="a", field="", description="The weather of Norway")
    box = (
        Toolset()
        .with_server(asked, [tool("x", description="X" * 2000), tool("y")])
        .with_server(McpToolset(server_label="b", field=""), [tool("x")])
    )
    first, *others = [one.description for one in box.tools]
    assert first == "[a__*: The weather of Norway] " + "X" * 1024 and others == ["what y does", "what x does"]


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "pattern": {"type": "string", "pattern": "^(a+)+$"},
        "n": {"$ref": "#/$defs/count"},
        "patternProperties": {"type": "string"},
    },
    "required": ["pattern"],
    "additionalProperties": False,
    "$defs": {"count": {"type": "integer", "minimum": 1}},
}


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ('{"pattern": "a", "n": 1}', None),
        ('{"pattern": "a", "patternProperties": "x"}', None),
        ('{"pattern": "a", "n": 0}', "n: 0 is less than the minimum of 1"),
        ('{"n": 1}', "'pattern' is a required property"),
        ('{"pattern": "a", "x": 1}', "'x' was unexpected"),
        ('{"pattern": 1}', "pattern: 1 is not of type 'string'"),
        ('{"pattern": "a"', "not valid JSON"),
        ('{"pattern": NaN}', "not valid JSON"),
        ("[1]", "must be a JSON object"),
        ("[" * 100_000, "not valid JSON"),
        ("", "'pattern' is a required property"),
    ],
)
def test_arguments(arguments: str, wrong: str | None) -> None:
    read = parse_arguments(arguments, SCHEMA)
    assert isinstance(read, dict) if wrong is None else isinstance(read, str) and wrong in read


def test_a_servers_regular_expressions_cannot_keep_us_busy() -> None:
    began = time.monotonic()
    assert isinstance(parse_arguments(f'{{"pattern": "{"a" * 40}b"}}', SCHEMA), dict)
    assert time.monotonic() - began < 20  # Python's re would take years


UNUSABLE = [
    {"$ref": "https://example.invalid/x"},
    {"type": "nonsense"},
    {"properties": 5},
    {"$ref": "#"},
    {"properties": {"a": {"multipleOf": 0}}},
    {"required": 7},
]


@pytest.mark.parametrize("schema", UNUSABLE)
def test_schemas_that_cannot_be_used_let_everything_through(schema: dict[str, Any]) -> None:
    assert parse_arguments('{"a": 1}', schema) == {"a": 1}
