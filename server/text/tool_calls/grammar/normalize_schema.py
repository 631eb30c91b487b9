"""A schema as llguidance can enforce it: no text that it does not allow is allowed. What is said of values only by the way (JSON
Schema 2020-12, validation, 7.2.1: formats are annotations) goes where llguidance does not know it; what must hold stays, and is
refused there, or left out (server/text/tool_calls/grammar/relax_schema.py)."""

import json
from collections.abc import Mapping
from typing import Any, cast

from server.text.tool_calls.grammar.schema import Schema, as_dict, definitions, kinds, texts

FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uri", "uuid"})
JOINED = ("anyOf", "oneOf", "allOf")
MORE = ("dependentRequired", "dependentSchemas", "dependencies")
OPEN = frozenset({"additionalProperties", "unevaluatedProperties", "patternProperties", "not", "$ref", "if", *MORE, *JOINED})


def narrowed(schema: Schema, *, close: bool = True) -> dict[str, Any]:
    """`close`: objects that list their properties have no others, for a small model would invent some; but for objects that are put
    together of several schemas."""
    given = _eased(schema)
    for name in JOINED:
        if isinstance(parts := given.get(name), list):
            given[name] = [_part(part, close=False) for part in cast(list[Any], parts)]
    if isinstance(items := given.get("items"), Mapping):
        given["items"] = narrowed(cast(Schema, items), close=close)
    if isinstance(inner := given.get("properties"), Mapping):
        given["properties"] = {name: _part(part, close=close) for name, part in as_dict(inner).items()}
        if close and not OPEN & given.keys() and _enough(given, as_dict(inner)):
            given["additionalProperties"] = False
    alone = close and '"allOf"' not in json.dumps(given, default=str)  # a definition is no part of another
    for name, parts in definitions(given).items():
        given[name] = {key: _part(part, close=alone) for key, part in as_dict(parts).items()}
    return given


def _enough(schema: Schema, inner: Schema) -> bool:
    """Whether it can be had with these properties alone."""
    least = schema.get("minProperties", 0)
    return set(texts(schema.get("required"))) <= inner.keys() and isinstance(least, int) and least <= len(inner)


def _part(schema: Any, *, close: bool) -> Any:
    return narrowed(as_dict(schema), close=close) if isinstance(schema, Mapping) else schema


def _eased(schema: Schema) -> dict[str, Any]:
    given = dict(schema)
    if not (isinstance(form := given.get("format"), str) and form in FORMATS):
        given.pop("format", None)
    if given.get("uniqueItems") is False:
        del given["uniqueItems"]
    if "anyOf" not in given and isinstance(options := given.get("oneOf"), list) and _apart(cast(list[Any], options)):
        given["anyOf"] = given.pop("oneOf")
    return given


def _apart(options: list[Any]) -> bool:
    """Whether no value can be of two of them, so that one of them is any of them."""
    schemas = [as_dict(option) for option in options]
    if all("const" in schema for schema in schemas):
        return len({json.dumps(schema["const"], sort_keys=True) for schema in schemas}) == len(schemas)
    found = [kinds(schema, schema) for schema in schemas]
    return sum(map(len, found)) == len(frozenset[str]().union(*found))
