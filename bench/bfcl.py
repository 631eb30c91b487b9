"""The Berkeley Function Calling Leaderboard's questions (https://gorilla.cs.berkeley.edu, Apache 2.0): what a case is, and whether
a model's calls answer it. Every call is also held to the schema of its tool."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

Json = dict[str, Any]
CATEGORIES = {"simple": "simple_python", "multiple": "multiple", "parallel": "parallel"}
TYPES = {"dict": "object", "float": "number", "tuple": "array", "String": "string", "Boolean": "boolean", "any": None}


@dataclass(frozen=True)
class Case:
    id: str
    messages: list[Json]
    tools: list[Json]  # as the API takes them
    expected: list[Json]  # of each call: {name: {argument: [values that are right; "" where it may be left out]}}


def read(folder: Path, category: str) -> list[Case]:
    name = CATEGORIES[category]
    answers = {entry["id"]: entry["ground_truth"] for entry in _lines(folder / f"possible_answer_{name}.json")}
    return [_case(entry, answers[entry["id"]]) for entry in _lines(folder / f"BFCL_v4_{name}.json")]


def valid(call: tuple[str, str], tools: Sequence[Json]) -> str | None:
    """None, or what is wrong with (name, arguments)."""
    name, arguments = call
    schema = next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name), None)
    if schema is None:
        return f"no such tool: {name}"
    try:
        given = json.loads(arguments)
    except ValueError:
        return f"not JSON: {arguments[:80]}"
    errors = sorted(Draft202012Validator(schema).iter_errors(given), key=str)
    return str(errors[0].message) if errors else None


def right(calls: Sequence[tuple[str, str]], expected: Sequence[Json]) -> bool:
    """As many calls as expected, and each of them expected once, in whatever order."""
    left = list(expected)
    for name, arguments in calls:
        found = next((want for want in left if _fits(name, arguments, want)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def tool_name(name: str) -> str:
    """The API's names have no dots."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def json_schema(schema: Any) -> Any:
    """The set writes Python's names of types."""
    if isinstance(schema, list):
        return [json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: _properties(value) if key == "properties" else json_schema(value) for key, value in schema.items()}
    if isinstance(kind := schema.get("type"), str) and kind in TYPES:
        made.pop("type") if TYPES[kind] is None else made.update(type=TYPES[kind])
    if made.get("type") == "string" and (values := made.get("enum")):
        made["enum"] = list(map(str, values))  # some hold numbers, which nothing would satisfy
    return made


def _properties(properties: Mapping[str, Any]) -> Json:
    return {name: json_schema(schema) for name, schema in properties.items()}


def _case(entry: Json, expected: list[Json]) -> Case:
    tools = [
        {
            "type": "function",
            "function": {
                "name": tool_name(f["name"]),
                "description": f["description"],
                "parameters": {**json_schema(f["parameters"]), "additionalProperties": False},
            },
        }
        for f in entry["function"]
    ]
    return Case(entry["id"], entry["question"][0], tools, [{tool_name(name): a for name, a in want.items()} for want in expected])


def _fits(name: str, arguments: str, want: Json) -> bool:
    ((wanted, values),) = want.items()
    try:
        given = json.loads(arguments)
    except ValueError:
        return False
    if name != wanted or not isinstance(given, dict) or given.keys() - values.keys():
        return False
    return all("" in allowed if key not in given else _among(given[key], allowed) for key, allowed in values.items())


def _among(given: Any, allowed: Sequence[Any]) -> bool:
    return any(_same(given, value) for value in allowed)


def _same(given: Any, value: Any) -> bool:
    """As the leaderboard compares: strings without case, spaces and punctuation; of an object's value, each key has its own list."""
    if isinstance(value, str):
        return isinstance(given, str) and _plain(given) == _plain(value)
    if isinstance(value, list):
        return isinstance(given, list) and len(given) == len(value) and all(map(_same, given, value))
    if isinstance(value, dict):
        known = isinstance(given, dict) and not given.keys() - value.keys()
        return known and all("" in allowed if key not in given else _among(given[key], allowed) for key, allowed in value.items())
    return isinstance(given, bool) == isinstance(value, bool) and given == value


def _plain(text: str) -> str:
    return re.sub(r"[ ,./\-_*^]", "", text).lower().replace("'", '"')


def _lines(path: Path) -> list[Json]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
