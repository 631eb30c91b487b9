"""References by name, {"$ref": "#node"} to what has {"$anchor": "node"} (JSON Schema 2020-12, core, 8.2.2), become pointers."""

from collections.abc import Iterator, Mapping
from typing import Any, cast
from urllib.parse import quote

from server.text.tool_calls.grammar.schema import VALUE_KEYWORDS, Schema, as_dict, map_schemas

NAMES, REFERENCES = ("$anchor", "$dynamicAnchor"), ("$ref", "$dynamicRef")


def with_pointers(schema: Schema) -> Schema:
    """Of names that nothing has, references stay as they are. A dynamic reference leads to the one place of its name."""
    if "nchor" not in repr(schema):
        return schema
    places = dict(_anchors(schema, "#"))
    return as_dict(map_schemas(schema, lambda part: _with_pointer(part, places)))


def _with_pointer(part: dict[str, Any], places: Mapping[str, str]) -> dict[str, Any]:
    for keyword in REFERENCES:
        ref: Any = part.get(keyword)
        if isinstance(ref, str) and ref in places:
            part = {**{name: value for name, value in part.items() if name != keyword}, "$ref": places[ref]}
    return {name: value for name, value in part.items() if name not in NAMES}


def _anchors(schema: Any, path: str) -> Iterator[tuple[str, str]]:
    """As references name them, with their places as pointers (RFC 6901, in a URI fragment)."""
    queue: list[tuple[Any, str]] = [(schema, path)]
    while queue:
        part, path = queue.pop()
        if isinstance(part, list):
            queue += [(item, f"{path}/{i}") for i, item in enumerate(cast(list[Any], part))]
        elif isinstance(part, Mapping):
            found = cast(Schema, part)
            yield from ((f"#{found[name]}", path) for name in NAMES if isinstance(found.get(name), str))
            queue += [(value, f"{path}/{_step(key)}") for key, value in found.items() if key not in VALUE_KEYWORDS]


def _step(key: str) -> str:
    return quote(key.replace("~", "~0").replace("/", "~1"))
