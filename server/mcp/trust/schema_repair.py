"""Drops from a tool's schema the keywords that servers often get wrong: a tool is of more use with a keyword less than not at all. What is
dropped restricts the arguments less; the server checks them again."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, cast

from server.mcp.trust.json_schema import Json

SCHEMA_MAPS = frozenset(("properties", "patternProperties", "$defs", "definitions", "dependentSchemas"))  # their values are schemas
DATA = frozenset(("const", "default", "enum", "examples"))  # keywords whose value is no schema, and may be null
BACKTRACKING = re.compile(r"\(\?<?[=!]|\\[1-9]")  # look-around and back references: grammars of calls cannot enforce them
TYPES = frozenset(("null", "boolean", "object", "array", "number", "string", "integer"))


class _Place(NamedTuple):
    schema: dict[str, Any]
    path: str  # of the schema in the whole, with dots; "": the whole


def repair_schema(schema: Json) -> tuple[Json, tuple[str, ...]]:
    """A copy, and the paths of the keywords that were dropped: null instead of a value, regular expressions that only others than
    Python's or ours can read, names of types that there are not, "required" of a single property. Schemas that name no "$schema" are
    often of draft 7: "items" with a list of schemas becomes "prefixItems". Other faults stay; the schema may still be invalid."""
    root: dict[str, Any] = dict(schema)
    pending, dropped = [_Place(root, "")], list[str]()
    while pending:
        place = pending.pop()
        if "$schema" not in root:
            _modernize_tuples(place.schema)
        for key in [key for key, value in place.schema.items() if _is_wrong(key, value, place.path == "")]:
            del place.schema[key]
            dropped.append(f"{place.path}.{key}".lstrip("."))
        pending.extend(_subschemas(place))
    return root, tuple(dropped)


def _is_wrong(keyword: str, value: Any, is_root: bool) -> bool:
    match keyword:
        case "pattern":
            return not _is_regex(value)
        case "patternProperties":
            return isinstance(value, Mapping) and not all(map(_is_regex, cast("Json", value)))
        case "required":
            return isinstance(value, bool)
        case "type" if not is_root:
            return value is None or (isinstance(value, str) and value not in TYPES)
        case _:
            return value is None and keyword not in DATA


def _is_regex(value: Any) -> bool:
    """One that a grammar of calls can enforce, and that our validator of arguments knows."""
    if not isinstance(value, str) or BACKTRACKING.search(value):
        return False
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _modernize_tuples(schema: dict[str, Any]) -> None:
    if isinstance(schema.get("items"), list) and "prefixItems" not in schema:
        schema["prefixItems"] = schema.pop("items")
        if "additionalItems" in schema:
            schema["items"] = schema.pop("additionalItems")


def _subschemas(place: _Place) -> Iterator[_Place]:
    """Copies, put into the place of the originals."""
    for key, value in place.schema.items():
        path = f"{place.path}.{key}".lstrip(".")
        if key in DATA:
            continue
        if key in SCHEMA_MAPS and isinstance(value, Mapping):
            members = place.schema[key] = dict(cast("Json", value))
            yield from _copied(members, path)
        elif isinstance(value, Mapping):
            copy = place.schema[key] = dict(cast("Json", value))
            yield _Place(copy, path)
        elif isinstance(value, list):
            items = place.schema[key] = list(cast("list[Any]", value))
            yield from _copied(items, path)


def _copied(holder: Any, path: str) -> Iterator[_Place]:
    """`holder`: an object or a list that contains schemas."""
    members = cast("dict[Any, Any]", holder).items() if isinstance(holder, dict) else enumerate(cast("list[Any]", holder))
    for at, value in list(members):
        if isinstance(value, Mapping):
            copy = holder[at] = dict(cast("Json", value))
            yield _Place(copy, f"{path}.{at}")
