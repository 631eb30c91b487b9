"""Rewrites a schema for llguidance without allowing anything that it forbids: formats that llguidance does not know are dropped (JSON
Schema 2020-12, validation, 7.2.1: formats are annotations), objects get no unlisted properties. Other keywords stay; those that
llguidance cannot enforce are refused later, or dropped by server/text/tool_calls/grammar/relax_schema.py."""

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
    """`close`: objects that list their properties get no others (small models invent some), except objects combined from several
    schemas."""
    normalized = normalize_keywords(schema)
    for name in COMBINERS:
        if isinstance(parts := normalized.get(name), list):
            normalized[name] = [_normalize_part(part, close=False) for part in cast(list[Any], parts)]
    if isinstance(items := normalized.get("items"), Mapping):
        normalized["items"] = normalize_schema(cast(Schema, items), close=close)
    if isinstance(listed := normalized.get("properties"), Mapping):
        normalized["properties"] = {name: _normalize_part(part, close=close) for name, part in as_dict(listed).items()}
        if close and not KEEP_OPEN & normalized.keys() and _satisfiable_when_closed(normalized, as_dict(listed)):
            normalized["additionalProperties"] = False
    close_definitions = close and '"allOf"' not in json.dumps(normalized, default=str)  # an allOf may combine a definition with others
    for name, parts in definitions(normalized).items():
        normalized[name] = {key: _normalize_part(part, close=close_definitions) for key, part in as_dict(parts).items()}
    return normalized


def _satisfiable_when_closed(schema: Schema, listed: Schema) -> bool:
    """Whether an object with the `listed` properties alone can fit."""
    minimum = schema.get("minProperties", 0)
    return set(string_items(schema.get("required"))) <= listed.keys() and isinstance(minimum, int) and minimum <= len(listed)


def _normalize_part(schema: Any, *, close: bool) -> Any:
    return normalize_schema(as_dict(schema), close=close) if isinstance(schema, Mapping) else schema


def normalize_keywords(schema: Schema) -> dict[str, Any]:
    normalized = dict(schema)
    if not (isinstance(name := normalized.get("format"), str) and name in FORMATS):
        normalized.pop("format", None)
    if normalized.get("uniqueItems") is False:
        del normalized["uniqueItems"]
    if "anyOf" not in normalized and isinstance(options := normalized.get("oneOf"), list) and _are_disjoint(cast(list[Any], options)):
        normalized["anyOf"] = normalized.pop("oneOf")
    return normalized


def _are_disjoint(options: list[Any]) -> bool:
    """Whether no value fits two of the options, so that oneOf means the same as anyOf."""
    schemas = [as_dict(option) for option in options]
    if all("const" in schema for schema in schemas):
        return len({json.dumps(schema["const"], sort_keys=True) for schema in schemas}) == len(schemas)
    found = [allowed_types(schema, schema) for schema in schemas]
    return sum(map(len, found)) == len(frozenset[str]().union(*found))
