"""What is done to every schema: endless parts, references with siblings, counts of free names, formats, limits of size."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher, LLTokenizer

from server.text.tool_calls.grammar.json_rule import json_rule
from server.text.tool_calls.grammar.pattern_size import expanded_size
from server.text.tool_calls.grammar.prepare_schema import prepare_schema
from server.text.tool_calls.grammar.schema import SchemaError
from server.text.tool_calls.grammar.schema_limits import check_choice, check_pattern

TEXT = {"type": "string"}
TOKENIZER = LLTokenizer("byte")


def accepts(schema: Any, value: Any, *, lenient: bool = False) -> bool:
    matcher = LLMatcher(
        TOKENIZER, LLMatcher.grammar_from_lark(f"start: {json_rule(prepare_schema(schema, lenient=lenient), lenient=lenient)}")
    )
    assert not matcher.is_error(), matcher.get_error()
    return matcher.consume_tokens(TOKENIZER.tokenize_str(json.dumps(value))) and matcher.is_accepting()


def object_with(required: tuple[str, ...] = (), definitions: dict[str, Any] | None = None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "$defs": definitions or {},
        "additionalProperties": False,
    }


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/$defs/{name}"}


@pytest.mark.parametrize(
    ("schema", "fits", "other"),
    [
        ({"$defs": {"x": {"$anchor": "yes", "type": "boolean"}}, "$ref": "#yes"}, True, "true"),
        (object_with(("a",), {"a/b ~%": {"$dynamicAnchor": "n", "type": "integer"}}, a={"$dynamicRef": "#n"}), {"a": 5}, {"a": "5"}),
        (
            object_with(("v",), {"N": {"$anchor": "node", **object_with((), None, v=TEXT, next={"$ref": "#node"})}}, v={"$ref": "#node"}),
            {"v": {"v": "a", "next": {"next": {}}}},
            {"v": {"next": 1}},
        ),
        (object_with(("$anchor",), **{"$anchor": TEXT}), {"$anchor": "a"}, {"$anchor": 1}),
        ({"const": {"$anchor": "a"}}, {"$anchor": "a"}, {}),
        ({"allOf": [{"$anchor": "first", "type": "integer"}, {"$ref": "#first"}]}, 5, "5"),
    ],
)
def test_references_by_name(schema: Any, fits: Any, other: Any) -> None:
    assert accepts(schema, fits) and not accepts(schema, other)


def test_a_name_that_nothing_has() -> None:
    with pytest.raises(AssertionError, match="nope"):
        accepts(object_with(("a",), a={"$ref": "#nope"}), {})


def test_a_name_of_what_requires_itself() -> None:
    with pytest.raises(SchemaError, match=r"properties\.a never comes to an end"):
        prepare_schema(
            object_with(("a",), {"x": {"$anchor": "n", **object_with(("b",), None, b={"$ref": "#n"})}}, a={"$ref": "#n"}), lenient=False
        )


LOOP = {"N": ref("N")}
PAIR = {"A": ref("B"), "B": {"allOf": [ref("A")]}}
ENDLESS: list[tuple[Any, str]] = [
    (object_with(("n",), LOOP, n=ref("N")), "properties.n"),
    (object_with(("n",), PAIR, n=ref("A")), "properties.n"),
    (object_with(("o",), LOOP, o=object_with(("n",), n=ref("N"))), "properties.o.properties.n"),
    (object_with(("a",), LOOP, a={"type": "array", "items": ref("N"), "minItems": 1}), "properties.a.items"),
    (object_with(("a",), LOOP, a={"type": "array", "prefixItems": [TEXT, ref("N")], "minItems": 2}), "properties.a.prefixItems.1"),
    ({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, "properties.a"),
    ({"$ref": "#"}, "the schema"),
    ({"$ref": "#/definitions/x", "definitions": {"x": {"anyOf": [{"$ref": "#/definitions/x"}, {"$ref": "#"}]}}}, "the schema"),
    (object_with(("n",), LOOP, n={"anyOf": [ref("N"), object_with(("m",), m=ref("N"))]}), "properties.n.anyOf.0"),
    ({"type": "object", "additionalProperties": ref("N"), "required": ["x"], "$defs": LOOP}, "additionalProperties"),
    ({"type": "object", "additionalProperties": ref("N"), "minProperties": 1, "$defs": LOOP}, "additionalProperties"),
    (object_with(("t",), {"T": object_with(("l", "r"), l=ref("T"), r=TEXT)}, t=ref("T")), "properties.t"),
    (object_with(("n",), {"a/b~c": {"$ref": "#/$defs/a~1b~0c"}}, n={"$ref": "#/$defs/a~1b~0c"}), "properties.n"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "place"), ENDLESS, ids=[place + str(i) for i, (_, place) in enumerate(ENDLESS)])
def test_what_requires_itself_is_refused_by_its_place(schema: Any, place: str) -> None:
    for lenient in (False, True):
        with pytest.raises(SchemaError, match="never comes to an end") as refused:
            prepare_schema(schema, lenient=lenient)
        assert str(refused.value).startswith(f"{place} never")


FINITE: list[tuple[Any, Any, Any]] = [
    (object_with((), LOOP, n=ref("N"), m=TEXT), {"m": "x"}, {"n": 1}),
    (object_with((), LOOP, n=ref("N")), {}, {"n": {}}),
    (object_with(("a",), LOOP, a={"type": "array", "items": ref("N")}), {"a": []}, {"a": [1]}),
    (object_with(("a",), LOOP, a={"anyOf": [ref("N"), TEXT]}), {"a": "x"}, {"a": 1}),
    ({"type": "object", "additionalProperties": ref("N"), "properties": {"x": TEXT}, "$defs": LOOP}, {"x": "y"}, {"z": 1}),
    (object_with(("t",), {"T": object_with(("v",), v=TEXT, next=ref("T"))}, t=ref("T")),
     {"t": {"v": "", "next": {"v": ""}}}, {"t": {"next": {}}}),
    ({"type": ["object", "null"], "properties": {"a": {"$ref": "#"}}, "required": ["a"], "additionalProperties": False},
     {"a": {"a": None}}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "good", "bad"), FINITE)
def test_endless_parts_that_are_optional_have_no_value(schema: Any, good: Any, bad: Any) -> None:
    assert accepts(schema, good)
    assert not accepts(schema, bad)


NODE = object_with(("v",), v=TEXT, next={"$ref": "#/$defs/node", "type": "object"})


def test_a_type_beside_a_recursive_reference() -> None:
    schema = object_with(("a",), {"node": NODE}, a={"$ref": "#/$defs/node", "type": "object", "description": "first"})
    assert accepts(schema, {"a": {"v": "x", "next": {"v": "y"}}})
    assert not accepts(schema, {"a": "x"})
    other = object_with(("a",), {"node": NODE}, a={"$ref": "#/$defs/node", "minProperties": 1})
    assert accepts(other, {"a": {"v": "x"}}, lenient=True)
    narrower = {"$ref": "#/$defs/n", "type": "integer"}
    assert not accepts(object_with(("a",), {"n": {"type": "number"}}, a=narrower), {"a": 1.5})


def test_free_names_cannot_be_counted() -> None:
    free: list[dict[str, Any]] = [
        {"type": "object", "additionalProperties": {"const": 1}, "minProperties": 2, "maxProperties": 2},
        {"type": "object", "patternProperties": {"^a$": {"const": 1}}, "additionalProperties": False, "minProperties": 2},
    ]
    for schema in free:
        with pytest.raises(SchemaError, match="minProperties"):
            prepare_schema(schema, lenient=False)
        assert accepts(schema, {"a": 1}, lenient=True)
    for schema in (
        {"type": "object", "additionalProperties": {"const": 1}, "minProperties": 1, "maxProperties": 2},
        {"type": "object", "additionalProperties": {"const": 1}, "required": ["a", "b"], "minProperties": 2},
    ):
        assert accepts(schema, {"a": 1, "b": 1})
        assert not accepts(schema, {})


def test_formats_are_annotations() -> None:
    schema = object_with(("a", "b"), a={"type": "string", "format": "phone"}, b={"type": "array", "prefixItems": [{"format": "x", **TEXT}]})
    assert accepts(schema, {"a": "5", "b": ["y"]})
    assert not accepts({"type": "string", "format": "date"}, "today")
    assert accepts(object_with(("format",), format={"const": "x"}), {"format": "x"})


def many(properties: int) -> dict[str, Any]:
    return {"type": "object", "properties": {f"p{i}": TEXT for i in range(properties)}}


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = TEXT
    for _ in range(depth):
        schema = {"anyOf": [schema, {"type": "object", "properties": {"a": schema}}]}
    return schema


BOMBS: dict[str, tuple[Any, str]] = {
    "properties in one object; the limit is 1000": (many(2000), "properties"),
    "the limit is 262144": (many(10_000), "the schema"),
    "properties; the limit is 5000": ({"prefixItems": [many(99)] * 60}, "the schema"),
    "characters as JSON": (nested(16), "the schema"),
    "levels of depth": (json.loads('{"items": ' * 80 + "{}" + "}" * 80), "items"),
    "999983 without its decimal point": (object_with(n={"type": "integer", "multipleOf": 999983}), "properties.n.multipleOf"),
    "as the least common multiple": ({"allOf": [{"multipleOf": 9973}, {"multipleOf": 9967}]}, "the schema"),
    "characters with its repetitions": (object_with(s={**TEXT, "pattern": "^(a{1000}){1000}$"}), "properties.s.pattern"),
    "characters; the limit is 4096": (object_with(s={**TEXT, "pattern": "(" * 5000}), "properties.s.pattern"),
    "patterns": ({"type": "object", "patternProperties": {f"^x{i}": TEXT for i in range(101)}}, "the schema"),
    "values of enum": ({"enum": list(range(20_000))}, "the schema"),
    "characters in one text": ({"const": "ab" * 5000}, "const"),
    "combinations": ({"allOf": [{"anyOf": [TEXT] * 20}] * 3}, "allOf"),
}  # fmt: skip


@pytest.mark.parametrize("limit", BOMBS)
def test_what_is_too_large_is_refused_by_the_limit(limit: str) -> None:
    schema, place = BOMBS[limit]
    began = time.process_time()
    with pytest.raises(SchemaError) as refused:
        prepare_schema(schema, lenient=False)
    assert limit in str(refused.value)
    assert str(refused.value).startswith(place)
    assert time.process_time() - began < 5  # seconds; some of these took minutes


def test_a_multiple_that_costs_too_much_is_left_out_where_lenient() -> None:
    assert accepts(object_with(("n",), n={"type": "integer", "multipleOf": 999983}), {"n": 5}, lenient=True)


def test_choices_and_patterns() -> None:
    check_choice(["yes", "no", *map(str, range(9000))])
    check_pattern(r"^([a-z0-9]{1,63}\.){1,8}[a-z]{2,63}$")
    for options in ([str(i) for i in range(60_000)], ["ab" * 500_000], ["x" * 8000] * 40):
        with pytest.raises(SchemaError, match="the limit is"):
            check_choice(options)


@pytest.mark.parametrize(
    ("pattern", "size"),
    [("", 0), ("abc", 3), (r"a\d[^]x-z]b", 4), ("a{5}", 5), ("a{2,7}", 7), ("a{3,}", 3), ("(ab){3}", 6), ("(a{10}b){4}c", 45),
     ("(?:ab)*x+", 3), ("a|b", 2), ("(?P<n>a{9}){9}", 81), ("[{9}]{2}", 2), (r"\{9\}", 3), ("a{,4}", 4), ("a{99999999999}", 10**9)],
)  # fmt: skip
def test_size_of_patterns(pattern: str, size: int) -> None:
    assert expanded_size(pattern) == size


@given(st.text("ab(){}[]|*+?^$.\\,123"))
def test_any_pattern_has_a_size(pattern: str) -> None:
    assert expanded_size(pattern) >= 0
