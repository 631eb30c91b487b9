"""`$ref` within a schema (JSON Schema 2020-12, core, 8.2.3.1): what it points to, and what stands beside it."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import unquote

from server.text.tool_calls.grammar.schema import VALUE_KEYWORDS, Schema, as_dict, map_schemas, string_items

ANNOTATIONS = frozenset({"$ref", "$defs", "definitions", "title", "description", "default", "examples", "deprecated", "$comment"})


def reference(schema: Any) -> str | None:
    """Of a schema that is one."""
    ref: Any = cast(Schema, schema).get("$ref") if isinstance(schema, Mapping) else None
    return ref if isinstance(ref, str) else None


def pointed(ref: str, root: Schema) -> Any:
    """What the JSON pointer `ref` (RFC 6901, as a URI fragment) points to in `root`; None if there is no such place."""
    if ref != "#" and not ref.startswith("#/"):
        return None
    found: Any = root
    for step in unquote(ref[1:]).split("/")[1:]:
        found = _child(found, step.replace("~1", "/").replace("~0", "~"))
    return found


def without_siblings(schema: Schema, *, lenient: bool) -> Schema:
    """Without a `type` beside a `$ref` that says nothing new: a grammar takes nothing beside a recursive one. `lenient`: without
    anything that a recursive one has beside it."""
    return as_dict(map_schemas(schema, lambda part: _without_siblings(part, schema, lenient=lenient)))


def _without_siblings(part: dict[str, Any], root: Schema, *, lenient: bool) -> dict[str, Any]:
    if (ref := reference(part)) is None or part.keys() <= ANNOTATIONS:
        return part
    if lenient and _is_recursive(ref, root):
        return {name: value for name, value in part.items() if name in ANNOTATIONS}
    if "type" in part and _types(pointed(ref, root)) and _types(pointed(ref, root)) <= _types(part):
        return {name: value for name, value in part.items() if name != "type"}
    return part


def _types(schema: Any) -> frozenset[str]:
    """Those that it names; "number" brings "integer" along."""
    named: Any = cast(Schema, schema).get("type") if isinstance(schema, Mapping) else None
    types = {named} if isinstance(named, str) else set(string_items(named))
    return frozenset(types | ({"integer"} if "number" in types else set()))


def _is_recursive(ref: str, root: Schema) -> bool:
    """Whether what `ref` points to refers to itself, over any number of steps."""
    seen, queue = set[str](), [ref]
    while queue:
        for found in _references(pointed(queue.pop(), root)):
            if found == ref:
                return True
            if found not in seen:
                seen.add(found)
                queue.append(found)
    return False


def _references(schema: Any) -> Iterator[str]:
    queue: list[Any] = [schema]
    while queue:
        part = queue.pop()
        if (ref := reference(part)) is not None:
            yield ref
        if isinstance(part, Mapping):
            queue += [value for key, value in cast(Schema, part).items() if key not in VALUE_KEYWORDS]
        elif isinstance(part, list):
            queue += cast(list[Any], part)


def _child(value: Any, step: str) -> Any:
    if isinstance(value, Mapping):
        return cast(Schema, value).get(step)
    items = cast(list[Any], value) if isinstance(value, list) else []
    return items[int(step)] if step.isdecimal() and len(step) < 6 and int(step) < len(items) else None
