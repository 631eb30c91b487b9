"""Tools that are not strict: of their schemas all is enforced that a grammar can enforce, and nothing is refused for the rest."""

import json
from typing import Any

import jsonschema
import numpy as np
import pytest

from server.core.messages import Tool
from server.text.tool_calls.api import CallConstraint, Dialect, UnusableSchema
from server.text.tool_calls.dialects.hermes import HERMES
from server.text.tool_calls.dialects.pythonic import PYTHONIC
from server.text.tool_calls.dialects.qwen3_coder import QWEN3_CODER as QWEN
from server.text.tool_calls.grammar.relax_schema import relax_schema
from tests.server.text.tool_calls.test_dialects import CALL, accepts, compile_grammar, random_text, read

TEXT, NUMBER = {"type": "string"}, {"type": "number"}
OBJECT = "object"
NAMED: dict[str, Any] = {"type": OBJECT, "properties": {"a": TEXT}, "required": ["a"]}
OTHER: dict[str, Any] = {"type": OBJECT, "properties": {"b": TEXT}, "required": ["b"]}
PAIR: dict[str, Any] = {"type": OBJECT, "properties": {"a": TEXT, "b": TEXT}}


def object_with(schema: Any) -> dict[str, Any]:
    return {"type": OBJECT, "properties": {"v": schema}, "required": ["v"]}


def required_call(parameters: dict[str, Any], *, strict: bool = False) -> CallConstraint:
    return CallConstraint(
        tools=[Tool(name="now", description="", parameters=parameters, strict=strict)], tool_choice="required", parallel=False
    )


# what cannot be enforced: (schema, a value that fits, one that does not and is let through, one that is not, what strict tools are told)
LEFT_OUT: list[tuple[Any, Any, Any, Any, str]] = [
    ({"type": "array", "items": TEXT, "uniqueItems": True}, ["a", "b"], ["a", "a"], [1], "uniqueItems"),
    ({"oneOf": [TEXT, {"type": "string", "maxLength": 3}]}, "long one", "no", 5, "oneOf"),
    ({"oneOf": [NAMED, OTHER]}, {"a": "x"}, {"a": "x", "b": "y"}, {"c": 1}, "oneOf"),
    ({**TEXT, "not": {"const": "x"}}, "y", "x", 5, "not"),
    ({**NAMED, "if": {"properties": {"a": {"const": "x"}}}, "then": {"required": ["b"]}}, {"a": "y"}, {"a": "x"}, {"a": 1}, "if"),
    ({"type": OBJECT, "propertyNames": {"pattern": "^a"}}, {"a": 1}, {"b": 1}, 5, "propertyNames"),
    ({**NAMED, "dependentRequired": {"a": ["b"]}}, {"a": "x", "b": 1}, {"a": "x"}, {"b": 1}, "dependentRequired"),
    ({**NAMED, "dependentSchemas": {"a": {"required": ["b"]}}}, {"a": "x", "b": 1}, {"a": "x"}, {"b": 1}, "dependentSchemas"),
    ({"type": "array", "contains": {"const": 1}}, [2, 1], [2], 1, "contains"),
    ({**NAMED, "unevaluatedProperties": False}, {"a": "x"}, {"a": "x", "b": 1}, {"a": 1}, "unevaluatedProperties"),
    ({**PAIR, "additionalProperties": False, "minProperties": 2}, {"a": "x", "b": "y"}, {"b": "x"}, {"c": 1}, "maxProperties"),
    ({**PAIR, "additionalProperties": TEXT, "minProperties": 1}, {"c": "x"}, {}, {"c": 1}, "maxProperties"),
    ({"allOf": [{**PAIR, "required": ["b"]}, {"minProperties": 2}]}, {"a": "x", "b": "y"}, {"b": "x"}, {}, "minProperties"),
    ({**TEXT, "pattern": "^(?=.*a).+$", "maxLength": 3}, "xa", "x", "abcd", "look-ahead"),
    ({**TEXT, "pattern": "(?<!a)b"}, "cb", "ab", 5, "look-behind"),
    ({**TEXT, "pattern": r"^(a|b)\1$"}, "aa", "ab", 5, "backreference"),
    ({**TEXT, "pattern": r"^a\Z"}, "a", "b", 5, "escape"),
    ({"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}, 5, -(2**63) - 1, "5", "range"),
    ({"type": OBJECT, "patternProperties": {"^(?!x)": TEXT, "^x": NUMBER}, "additionalProperties": False},
     {"a": "1", "x": 1}, {"a": 1}, {"x": "1"}, "look-ahead"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "good", "let", "bad", "why"), LEFT_OUT, ids=[entry[4] + str(i) for i, entry in enumerate(LEFT_OUT)])
def test_what_no_grammar_can_enforce_is_left_out_and_all_else_is_not(schema: Any, good: Any, let: Any, bad: Any, why: str) -> None:
    jsonschema.validate(good, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(let, schema)
    fits = [accepts(required_call(object_with(schema)), CALL.replace("{}", json.dumps({"v": value}))) for value in (good, let, bad)]
    assert fits == [True, True, False]
    with pytest.raises(UnusableSchema, match=why):
        HERMES.grammar(required_call(object_with(schema), strict=True), lambda _: None)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/nowhere"},
        {"$ref": "https://example.com/x.json"},
        {"type": "strin"},
    ],
    ids=json.dumps,
)
def test_what_is_no_schema_is_refused_all_the_same(schema: dict[str, Any]) -> None:
    for dialect in (HERMES, QWEN, PYTHONIC):
        with pytest.raises(UnusableSchema):
            dialect.grammar(required_call(object_with(schema)), lambda _: None)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 5, "maximum": 3},
        {"type": "string", "minLength": 5, "maxLength": 2, "pattern": "(?=a)"},
        {"enum": []},
        {"type": "integer", "enum": ["a", "b"]},
    ],
    ids=json.dumps,
)
def test_what_fits_nothing_is_left_out(schema: dict[str, Any]) -> None:
    """A tool with a part that no value fits refuses no request, unless it is strict; all else of it is enforced."""
    parameters = {**object_with(schema), "properties": {"v": schema, "w": NUMBER}}
    fits = [accepts(required_call(parameters), CALL.replace("{}", json.dumps(value))) for value in ({"v": "x", "w": 1}, {"v": 1, "w": "x"})]
    assert fits == [True, False]
    for dialect in (QWEN, PYTHONIC):
        dialect.grammar(required_call(parameters), lambda _: None)
    with pytest.raises(UnusableSchema):
        HERMES.grammar(required_call(parameters, strict=True), lambda _: None)


# as servers and SDKs send them
GIVEN: dict[str, dict[str, Any]] = {
    "pydantic": {
        "$defs": {
            "Unit": {"enum": ["c", "f"], "title": "Unit", "type": "string"},
            "Place": {"properties": {"name": {"title": "Name", "type": "string", "minLength": 1}}, "required": ["name"], "type": OBJECT},
        },
        "properties": {
            "place": {"$ref": "#/$defs/Place", "description": "where"},
            "unit": {"allOf": [{"$ref": "#/$defs/Unit"}], "default": "c"},
            "days": {"anyOf": [{"type": "integer", "exclusiveMinimum": 0, "maximum": 16}, {"type": "null"}], "default": None},
        },
        "required": ["place"],
        "title": "forecastArguments",
        "type": OBJECT,
    },
    "fetch": {
        "type": OBJECT,
        "properties": {
            "url": {"type": "string", "format": "uri", "minLength": 1, "title": "Url"},
            "max_length": {"type": "integer", "default": 5000, "exclusiveMinimum": 0, "exclusiveMaximum": 1000000},
            "raw": {"type": "boolean", "default": False},
        },
        "required": ["url"],
        "title": "Fetch",
    },
    "zod": {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": OBJECT,
        "properties": {
            "mode": {"type": "string", "enum": ["read", "write"]},
            "kind": {"type": "string", "const": "file"},
            "limit": {"type": "integer", "minimum": -9007199254740991, "maximum": 9007199254740991},
            "labels": {"type": OBJECT, "additionalProperties": {"type": "string"}, "maxProperties": 2},
            "edits": {
                "type": "array",
                "minItems": 1,
                "items": {"type": OBJECT, "properties": {"old": TEXT}, "required": ["old"], "additionalProperties": False},
            },
        },
        "required": ["mode", "edits"],
        "additionalProperties": False,
    },
    "openapi": {
        "type": OBJECT,
        "properties": {
            "id": {"type": "integer", "format": "int64", "minimum": 1},
            "status": {"enum": ["open", 1, None, True]},
            "since": {"type": "string", "format": "date-time"},
            "body": {"type": ["string", "null"], "format": "binary", "x-order": 3, "example": "x"},
        },
        "required": ["id"],
        "anyOf": [{"required": ["status"]}, {"required": ["since"]}],
    },
    "tree": {
        "type": OBJECT,
        "properties": {"root": {"$ref": "#/definitions/node"}},
        "required": ["root"],
        "definitions": {
            "node": {
                "type": OBJECT,
                "properties": {"name": TEXT, "children": {"type": "array", "items": {"$ref": "#/definitions/node"}, "maxItems": 1}},
                "required": ["name"],
            }
        },
    },
}


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("name", GIVEN)
def test_schemas_that_servers_send_are_enforced_as_a_whole(name: str, strict: bool) -> None:
    schema = GIVEN[name]
    constraint, rng = required_call(schema, strict=strict), np.random.default_rng(11)
    matcher = compile_grammar(HERMES, constraint)
    texts = [text for _ in range(6) if (text := random_text(matcher.deep_copy(), rng)) is not None]
    assert texts
    for text in texts:
        jsonschema.validate(json.loads(read(HERMES, [text], list(constraint.tools)).arguments[0]), schema)


def test_what_can_be_used_stays_as_it_is() -> None:
    for schema in (*GIVEN.values(), {**PAIR, "additionalProperties": False, "minProperties": 1}):
        assert relax_schema(schema) == schema
    odd = {"properties": {"pattern": TEXT, "a": {"type": "string", "pattern": "(?=a)"}}, "default": {"pattern": "(?=a)"}}
    assert relax_schema(odd) == {"properties": {"pattern": TEXT, "a": TEXT}, "default": {"pattern": "(?=a)"}}


@pytest.mark.parametrize(
    ("dialect", "schema", "call", "arguments"),
    [
        (QWEN, {"anyOf": [NAMED, OTHER]}, "<function=now>\n<parameter=b>\n5\n</parameter>\n</function>", {"b": "5"}),
        (QWEN, object_with({**TEXT, "pattern": "a$|^b"}), "<function=now>\n<parameter=v>\nc\n</parameter>\n</function>", {"v": "c"}),
        (QWEN, object_with({"enum": ["x", "</parameter>"]}), "<function=now>\n<parameter=v>\nx\n</parameter>\n</function>", {"v": "x"}),
        (QWEN, {"properties": {"a>b": {}, "c": TEXT}}, "<function=now>\n<parameter=c>\nx\n</parameter>\n</function>", {"c": "x"}),
        (PYTHONIC, {"properties": {"a-b": {}, "c": TEXT}}, '[now(c="x")]', {"c": "x"}),
        (PYTHONIC, {**NAMED, "not": {"required": ["c"]}}, '[now(a="x")]', {"a": "x"}),
        (PYTHONIC, {"allOf": [NAMED, {"$ref": "#/$defs/o"}], "$defs": {"o": OTHER}}, '[now(a="x", b="y")]', {"a": "x", "b": "y"}),
    ],
)  # fmt: skip
def test_arguments_written_one_by_one_are_taken_from_all_parts(dialect: Dialect, schema: Any, call: str, arguments: Any) -> None:
    constraint = required_call(schema)
    text = call if dialect is PYTHONIC else f"<tool_call>\n{call}\n</tool_call>"
    assert accepts(constraint, text, dialect)
    assert json.loads(read(dialect, [text], list(constraint.tools)).arguments[0]) == arguments
    with pytest.raises(UnusableSchema):
        dialect.grammar(required_call(schema, strict=True), lambda _: None)
