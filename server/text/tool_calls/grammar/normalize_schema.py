"""A schema as llguidance can enforce it: no text that it does not allow is allowed. What is said of values only by the way (JSON
Schema 2020-12, validation, 7.2.1: formats are annotations) goes where llguidance does not know it; what must hold stays, and is
refused there, or left out (server/text/tool_calls/grammar/relax_schema.py)."""

import json
from collections.abc import Mapping
from typing import Any, cast

from server.text.tool_calls.grammar.schema import Schema, allowed_types, as_dict, definitions, string_items

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"})
COMBINERS = ("anyOf", "oneOf", "allOf")
DEPENDENCIES = ("dependentRequired", "dependentSchemas", "dependencies")
KEEP_OPEN = frozenset(
    {"additionalProperties", "unevaluatedProperties", "patternProperties", "not", "$ref", "if", *DEPENDENCIES, *COMBINERS}
)


def normalize_schema(schema: Schema, *, close: bool = True) -> dict[str, Any]:
    """`close`: objects that list their properties have no others, for a small model would invent some; but for objects that are put
    together of several schemas."""
    given = _normalize_keywords(schema)
    for name in COMBINERS:
        if isinstance(parts := given.get(name), list):
            given[name] = [_normalize_part(part, close=False) for part in cast(list[Any], parts)]
    if isinstance(items := given.get("items"), Mapping):
        given["items"] = normalize_schema(cast(Schema, items), close=close)
    if isinstance(inner := given.get("properties"), Mapping):
        given["properties"] = {name: _normalize_part(part, close=close) for name, part in as_dict(inner).items()}
        if close and not KEEP_OPEN & given.keys() and _satisfiable_when_closed(given, as_dict(inner)):
            given["additionalProperties"] = False
    alone = close and '"allOf"' not in json.dumps(given, default=str)  # a definition is no part of another
    for name, parts in definitions(given).items():
        given[name] = {key: _normalize_part(part, close=alone) for key, part in as_dict(parts).items()}
    return given


def _satisfiable_when_closed(schema: Schema, inner: Schema) -> bool:
    """Whether it can be had with these properties alone."""
    least = schema.get("minProperties", 0)
    return set(string_items(schema.get("required"))) <= inner.keys() and isinstance(least, int) and least <= len(inner)


def _normalize_part(schema: Any, *, close: bool) -> Any:
    return normalize_schema(as_dict(schema), close=close) if isinstance(schema, Mapping) else schema


def _normalize_keywords(schema: Schema) -> dict[str, Any]:
    given = dict(schema)
    if not (isinstance(form := given.get("format"), str) and form in FORMATS):
        given.pop("format", None)
    if given.get("uniqueItems") is False:
        del given["uniqueItems"]
    if "anyOf" not in given and isinstance(options := given.get("oneOf"), list) and _are_disjoint(cast(list[Any], options)):
        given["anyOf"] = given.pop("oneOf")
    return given


def _are_disjoint(options: list[Any]) -> bool:
    """Whether no value can be of two of them, so that one of them is any of them."""
    schemas = [as_dict(option) for option in options]
    if all("const" in schema for schema in schemas):
        return len({json.dumps(schema["const"], sort_keys=True) for schema in schemas}) == len(schemas)
    found = [allowed_types(schema, schema) for schema in schemas]
    return sum(map(len, found)) == len(frozenset[str]().union(*found))
