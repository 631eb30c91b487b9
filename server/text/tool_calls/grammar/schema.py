"""Reads a tool's parameters (JSON Schema 2020-12), for dialects that write arguments separately. Nothing here raises, whatever JSON the
parameters are; server/text/tool_calls/grammar/lark.py checks whether they can be enforced."""

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
SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")  # keywords whose values map names to schemas
VALUE_KEYWORDS = ("const", "enum", "default", "examples")  # keywords whose values are not schemas
MAX_SUBSCHEMAS = 256  # subschemas examined per question


class SchemaError(ValueError):
    """A schema that is not used; `place`: the path of the part that is to blame, "" for the whole."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place or 'the schema'} {reason}")
        self.place = place


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: Schema
    required: bool


def parameters(tool: Tool) -> list[Parameter]:
    """In the order in which the model writes them."""
    schemas, required = dict[str, list[Any]](), set[str]()
    for part, mandatory in _subschemas(tool.parameters):
        required |= set(string_items(part.get("required"))) if mandatory else set()
        for name, schema in as_dict(part.get("properties")).items():
            schemas.setdefault(name, []).append(schema)
    return [Parameter(name, as_dict(same[0] if len(same) == 1 else {"anyOf": same}), name in required) for name, same in schemas.items()]


def has_known_parameters(tool: Tool) -> bool:
    """Whether its schema names its parameters."""
    return any("properties" in part or part.get("additionalProperties") is False for part, _ in _subschemas(tool.parameters))


def combining_keyword(tool: Tool) -> str | None:
    """A keyword that constrains its parameters in combination, not each by itself; None if there is none."""
    root = resolve(tool.parameters, tool.parameters)
    return next((name for name in ("anyOf", "oneOf", "allOf", "if", "not", "patternProperties") if name in root), None)


def _subschemas(root: Schema) -> list[tuple[Schema, bool]]:
    """`root` and the schemas that it combines, each with whether it applies in any case."""
    found, queue = list[tuple[Schema, bool]](), [(root, True)]
    while queue and len(found) < MAX_SUBSCHEMAS:
        schema, mandatory = queue.pop(0)
        schema = resolve(schema, root)
        found.append((schema, mandatory))
        for name in (*ALTERNATIVES, "allOf"):
            if isinstance(parts := schema.get(name), list):
                queue += [(as_dict(part), mandatory and name == "allOf") for part in cast(list[Any], parts)]
        queue += [(as_dict(schema[name]), False) for name in ("then", "else") if name in schema]
    return found


def resolve(schema: Schema, root: Schema) -> Schema:
    """The definition that `schema` refers to, if it is one in `root`; else `schema`."""
    for _ in range(8):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not (found := LOCAL_REF.fullmatch(ref)):
            break
        schema = cast(Schema, as_dict(as_dict(root.get(found[1])).get(found[2])))
    return schema


def allowed_types(schema: Schema, root: Schema) -> frozenset[str]:
    """Types that a value may have (integers are numbers); all types if the schema does not restrict them."""
    found, queue, followed = set[str](), [schema], set[str]()
    for _ in range(MAX_SUBSCHEMAS):
        if not queue:
            return frozenset(found) or ALL_TYPES
        current = queue.pop()
        if isinstance(ref := current.get("$ref"), str):
            if ref in followed:
                continue
            followed.add(ref)
        current = resolve(current, root)
        if any(isinstance(current.get(name), list) for name in ALTERNATIVES):
            queue += [as_dict(option) for option in _options(current)]
        else:
            found |= _own_types(current)
    return ALL_TYPES


def _options(schema: Schema) -> list[Any]:
    return next(cast(list[Any], schema[name]) for name in ALTERNATIVES if isinstance(schema.get(name), list))


def _own_types(schema: Schema) -> frozenset[str]:
    if "const" in schema:
        return frozenset({type_of(schema["const"])})
    if isinstance(values := schema.get("enum"), list):
        return frozenset(map(type_of, cast(list[Any], values)))
    types: Any = schema.get("type")
    named = {"number" if name == "integer" else name for name in ([types] if isinstance(types, str) else string_items(types))}
    return ALL_TYPES.intersection(named) or ALL_TYPES


def definitions(schema: Schema) -> dict[str, Any]:
    """The keywords with definitions that parts of `schema` may refer to."""
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
    """A copy of `schema` with `change` applied to it and to every schema in it, innermost first."""
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
    """{} for a value that is no object."""
    return dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else {}


def string_items(value: Any) -> list[str]:
    """The strings in a list; [] for a value that is no list."""
    return [one for one in cast(list[Any], value) if isinstance(one, str)] if isinstance(value, list) else []
