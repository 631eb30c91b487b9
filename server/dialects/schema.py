"""What a dialect that writes arguments one by one must know of a tool's parameters (JSON Schema 2020-12). Whatever JSON they are,
nothing here raises: whether they are a schema that can be enforced, server/dialects/lark.py finds out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from server.conversation import Tool

Schema = Mapping[str, Any]
TEXT, BOOLEAN, PERHAPS = frozenset({"string"}), frozenset({"boolean"}), frozenset({"string", "null"})
KINDS = frozenset({"string", "number", "boolean", "object", "array", "null"})
DEFINED = re.compile(r"#/(\$defs|definitions)/([^/]+)")
SUMS = ("anyOf", "oneOf")
MOST = 256  # schemas that are looked at for the types of one value


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    schema: Schema
    required: bool


def parameters(tool: Tool) -> list[Parameter]:
    """In the order in which they are written."""
    root = resolved(tool.parameters, tool.parameters)
    given, required = as_dict(root.get("properties")), texts(root.get("required"))
    return [Parameter(name, as_dict(schema), name in required) for name, schema in given.items()]


def listed(root: Schema) -> bool:
    """Whether it says what parameters there are."""
    return "properties" in root or root.get("additionalProperties") is False


def resolved(schema: Schema, root: Schema) -> Schema:
    """What it refers to, if it refers to a definition of the same document."""
    for _ in range(8):
        ref = schema.get("$ref")
        if not isinstance(ref, str) or not (found := DEFINED.fullmatch(ref)):
            break
        schema = cast(Schema, as_dict(as_dict(root.get(found[1])).get(found[2])))
    return schema


def kinds(schema: Schema, root: Schema) -> frozenset[str]:
    """Types that a value may have, all of them where nothing sensible is said; integers are numbers."""
    found, waiting, followed = set[str](), [schema], set[str]()
    for _ in range(MOST):
        if not waiting:
            return frozenset(found) or KINDS
        one = waiting.pop()
        if isinstance(ref := one.get("$ref"), str):
            if ref in followed:
                continue
            followed.add(ref)
        one = resolved(one, root)
        if any(isinstance(one.get(name), list) for name in SUMS):
            waiting += [as_dict(option) for option in _options(one)]
        else:
            found |= _own(one)
    return KINDS


def _options(schema: Schema) -> list[Any]:
    return next(cast(list[Any], schema[name]) for name in SUMS if isinstance(schema.get(name), list))


def _own(schema: Schema) -> frozenset[str]:
    if "const" in schema:
        return frozenset({kind(schema["const"])})
    if isinstance(values := schema.get("enum"), list):
        return frozenset(map(kind, cast(list[Any], values)))
    said: Any = schema.get("type")
    named = {"number" if name == "integer" else name for name in ([said] if isinstance(said, str) else texts(said))}
    return KINDS.intersection(named) or KINDS


def definitions(schema: Schema) -> dict[str, Any]:
    """What parts of it may refer to."""
    return {name: schema[name] for name in ("$defs", "definitions") if name in schema}


def kind(value: Any) -> str:
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


def as_dict(value: Any) -> dict[str, Any]:
    """{} of what is no object."""
    return dict(cast(Mapping[str, Any], value)) if isinstance(value, Mapping) else {}


def texts(value: Any) -> list[str]:
    """[] of what is no list; what is no text is left out."""
    return [one for one in cast(list[Any], value) if isinstance(one, str)] if isinstance(value, list) else []
