"""The measure itself: what it counts as fitting, on descriptions small enough to see through."""

from typing import Any

import pytest

from bench.api_conformance.__main__ import family

Json = dict[str, Any]
TEXT = {"type": "string"}


def described(asks: Json | None, answers: Json, *, prefix: str = "", query: tuple[str, ...] = ()) -> Json:
    operation: Json = {"responses": {"200": {"content": {"application/json": {"schema": answers}}}}}
    operation["parameters"] = [{"in": "query", "name": name} for name in query]
    if asks is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": asks}}}
    return {"paths": {f"{prefix}/things": {"post": operation}}}


def problems(
    asks: tuple[Json, Json] | None = None, answers: tuple[Json, Json] = ({}, {}), query: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
) -> dict[str, str]:
    theirs, ours = (described(asks[i] if asks else None, answers[i], prefix=("", "/v1")[i], query=query[i]) for i in (0, 1))
    return {verdict.path.removeprefix("POST /things "): verdict.problem for verdict in family(theirs, ours, "/things") if verdict.problem}


def thing(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def kind(name: str, **properties: Json) -> Json:
    return thing(("type",), type={"const": name}, **properties)


@pytest.mark.parametrize(
    ("theirs", "ours", "found"),
    [
        (thing(a=TEXT), thing(a=TEXT, more=TEXT), {}),
        (thing(a=TEXT), thing(), {"asks .a": "missing"}),
        (thing(a=TEXT), thing(a={"type": "number"}), {"asks .a": "type string not taken"}),
        (thing(a={"type": "integer"}), thing(a={"type": "number"}), {}),
        (thing(a={"type": ["string", "null"]}), thing(a=TEXT), {}),
        (thing(a={"enum": ["x", "y"]}), thing(a={"enum": ["x"]}), {"asks .a": "values ['y'] not taken"}),
        (thing(a=TEXT), thing(a={"enum": ["x"]}), {"asks .a": "only some values"}),
        (thing(a={"anyOf": [kind("x"), kind("y")]}), thing(a={"anyOf": [kind("x"), kind("y")]}), {}),
        (thing(a={"anyOf": [kind("x"), kind("y")]}), thing(a=kind("x")), {"asks .a": "variants ['y'] not taken"}),
        (thing(a={"oneOf": [kind("x", b=TEXT), kind("y")]}), thing(a={"anyOf": [kind("x"), kind("y")]}), {"asks .a<x>.b": "missing"}),
        (thing(a={"type": "array", "items": thing(b=TEXT)}), thing(a={"type": "array", "items": thing()}), {"asks .a[].b": "missing"}),
        (thing(a=thing(b=TEXT)), thing(a={"type": "object"}), {}),
    ],
)
def test_what_is_asked(theirs: Json, ours: Json, found: dict[str, str]) -> None:
    assert problems(asks=(theirs, ours)) == found


@pytest.mark.parametrize(
    ("theirs", "ours", "found"),
    [
        (thing(("a",), a=TEXT), thing(("a",), a=TEXT, more=TEXT), {}),
        (thing(("a",), a=TEXT), thing(a=TEXT), {"answers .a": "may be missing"}),
        (thing(a=TEXT), thing(a={"type": ["string", "null"]}), {"answers .a": "type null not theirs"}),
        (thing(a={"enum": ["x", "y"]}), thing(a={"enum": ["x"]}), {}),
        (thing(a={"enum": ["x"]}), thing(a={"enum": ["x", "y"]}), {"answers .a": "values ['y'] not theirs"}),
        (thing(a={"anyOf": [kind("x"), kind("y", b=TEXT)]}), thing(a=kind("x")), {}),
        (
            thing(a=kind("x", b=TEXT)),
            thing(a={"anyOf": [kind("x"), kind("z")]}),
            {"answers .a": "variants ['z'] not theirs", "answers .a.b": "missing"},
        ),
    ],
)
def test_what_is_answered(theirs: Json, ours: Json, found: dict[str, str]) -> None:
    assert problems(answers=(theirs, ours)) == found


def test_references_and_all_of_are_followed_and_may_go_in_circles() -> None:
    theirs = described(None, {"$ref": "#/components/Node"})
    base = thing(("id",), id=TEXT)
    theirs["components"] = {"Base": base, "Node": {"allOf": [{"$ref": "#/components/Base"}, thing(next={"$ref": "#/components/Node"})]}}
    ours = described(None, thing(("id",), id=TEXT), prefix="/v1")
    found = {verdict.path: verdict.problem for verdict in family(theirs, ours, "/things")}
    assert found["POST /things answers .id"] is None and found["POST /things answers .next"] == "missing"


def test_what_is_not_there_at_all() -> None:
    theirs, ours = described(thing(a=TEXT), thing(b=TEXT), query=("limit",)), {"paths": {}}
    found = [verdict.path for verdict in family(theirs, ours, "/things") if verdict.problem == "missing"]
    assert found == ["POST /things", "POST /things ?limit", "POST /things asks .a", "POST /things answers .b"]


def test_parameters_of_the_query() -> None:
    assert problems(query=(("limit", "include[]"), ("include",))) == {"?limit": "missing"}
