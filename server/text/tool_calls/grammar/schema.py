"""What a dialect that writes arguments one by one must know of a tool's parameters (JSON Schema 2020-12). Whatever JSON they are,
nothing here raises: whether they are a schema that can be enforced, server/text/tool_calls/grammar/lark.py finds out."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from server.core.messages import Tool

Schema = Mapping[str, Any]
STRING_ONLY, BOOLEAN_ONLY, NULLABLE_STRING = frozenset({"string"}), frozenset({"boolean"}), frozenset({"string", "null"})
ALL_TYPES = frozenset({"string", "number", "boolean", "object", "array", "null"})
LOCAL_REF = re.compile(r"#/(\$defs|definitions)/([^/]+)")
ALTERNATIVES = ("anyOf", "oneOf")
SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")  # name -> schema
VALUE_KEYWORDS = ("const", "enum", "default", "examples")  # no schemas
MAX_SUBSCHEMAS = 256  # schemas that are looked at for the types of one value


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: Schema
    required: bool


def parameters(tool: Tool) -> list[Parameter]:
    """In the order in which they are written."""
    given, required = dict[str, list[Any]](), set[str]()
    for part, sure in _subschemas(tool.parameters):
        required |= set(string_items(part.get("required"))) if sure else set()
        for name, schema in as_dict(part.get("properties")).items():
            given.setdefault(name, []).append(schema)
    return [Parameter(name, as_dict(said[0] if len(said) == 1 else {"anyOf": said}), name in required) for name, said in given.items()]


def has_known_parameters(tool: Tool) -> bool:
    """Whether its parameters are known."""
    return any("properties" in part or part.get("additionalProperties") is False for part, _ in _subschemas(tool.parameters))


def combining_keyword(tool: Tool) -> str | None:
    """What puts its parameters together of several schemas, or says more of them than what each of them is."""
    root = resolve(tool.parameters, tool.parameters)
    return next((name for name in ("anyOf", "oneOf", "allOf", "if", "not", "patternProperties") if name in root), None)


def _subschemas(root: Schema) -> list[tuple[Schema, bool]]:
    """Those that it is put together of, and whether each holds in any case."""
    found, waiting = list[tuple[Schema, bool]](), [(root, True)]
    while waiting and len(found) < MAX_SUBSCHEMAS:
        one, sure = waiting.pop(0)
        one = resolve(one, root)
        found.append((one, sure))
        for name in (*ALTERNATIVES, "allOf"):
            if isinstance(parts := one.get(name), list):
                waiting += [(as_dict(part), sure and name == "allOf") for part in cast(list[Any], parts)]
        waiting += [(as_dict(one[name]), False) for name in ("then", "else") if name in one]
    return found


def resolve(schema: Schema, root: Schema) -> Schema:
    """What it refers to, if it refers to a definition of the same document."""
    for _ in range(8):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not (found := LOCAL_REF.fullmatch(ref)):
            break
        schema = cast(Schema, as_dict(as_dict(root.get(found[1])).get(found[2])))
    return schema


def allowed_types(schema: Schema, root: Schema) -> frozenset[str]:
    """Types that a value may have, all of them where nothing sensible is said; integers are numbers."""
    found, waiting, followed = set[str](), [schema], set[str]()
    for _ in range(MAX_SUBSCHEMAS):
        if not waiting:
            return frozenset(found) or ALL_TYPES
        one = waiting.pop()
        if isinstance(ref := one.get("$ref"), str):
            if ref in followed:
                continue
            followed.add(ref)
        one = resolve(one, root)
        if any(isinstance(one.get(name), list) for name in ALTERNATIVES):
            waiting += [as_dict(option) for option in _options(one)]
        else:
            found |= _own_types(one)
    return ALL_TYPES


def _options(schema: Schema) -> list[Any]:
    return next(cast(list[Any], schema[name]) for name in ALTERNATIVES if isinstance(schema.get(name), list))


def _own_types(schema: Schema) -> frozenset[str]:
    if "const" in schema:
        return frozenset({type_of(schema["const"])})
    if isinstance(values := schema.get("enum"), list):
        return frozenset(map(type_of, cast(list[Any], values)))
    said: Any = schema.get("type")
    named = {"number" if name == "integer" else name for name in ([said] if isinstance(said, str) else string_items(said))}
    return ALL_TYPES.intersection(named) or ALL_TYPES


def definitions(schema: Schema) -> dict[str, Any]:
    """What parts of it may refer to."""
    return {name: schema[name] for name in ("$defs", "definitions") if name in schema}


def type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return "string"
        case Mapping():
            return "object"
        case list():
            return "array"
        case _:
            return "number"


def map_schemas(schema: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """With every schema in it changed, the innermost first."""
    if isinstance(schema, list):
        return [map_schemas(one, change) for one in cast(list[Any], schema)]
    return (
        change({key: _map_keyword(key, value, change) for key, value in as_dict(schema).items()}) if isinstance(schema, Mapping) else schema
    )


def _map_keyword(key: str, value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    if key in VALUE_KEYWORDS:
        return value
    if key in SCHEMA_MAPS and isinstance(value, Mapping):
        return {name: map_schemas(one, change) for name, one in as_dict(value).items()}
    return map_schemas(value, change)


def as_dict(value: Any) -> dict[str, Any]:
    """{} of what is no object."""
    return dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else {}


def string_items(value: Any) -> list[str]:
    """[] of what is no list; what is no text is left out."""
    return [one for one in cast(list[Any], value) if isinstance(one, str)] if isinstance(value, list) else []
