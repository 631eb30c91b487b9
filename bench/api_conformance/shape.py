"""What a JSON Schema says of each property: its types, its values, the variants of its unions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
TAGS = ("type", "role", "object")  # properties by which the variants of a union are told apart
DEPTH = 12  # filters of filters of filters say nothing new


@dataclass
class Shape:
    """Several schemas laid over each other, as `anyOf` does. `variants`: those that name themselves by a tag with one value."""

    types: set[str] = field(default_factory=set[str])
    values: set[Any] | None = field(default_factory=set[Any])  # None: any
    properties: dict[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    required: set[str] | None = None  # None: no object yet
    items: "Shape | None" = None
    variants: dict[str, "Shape"] = field(default_factory=dict[str, "Shape"])
    free: bool = False  # any JSON, or an object with any properties


class Reader:
    """Of one OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._document = document

    def shape(self, schema: Json, depth: int = 0, into: Shape | None = None) -> Shape:
        into, schema = into or Shape(), self._whole(schema)
        alternatives = [self._whole(a) for key in ("anyOf", "oneOf") for a in schema.get(key, ())]
        tag = _common_tag(alternatives)
        for alternative in alternatives:
            if tag and (name := _tag_value(alternative, tag)) is not None:
                into.types.add("object")
                into.variants[name] = self.shape(alternative, depth + 1, into.variants.get(name))
            else:
                self.shape(alternative, depth, into)
        if not alternatives or schema.get("properties"):
            self._simple(schema, depth, into)
        return into

    def _simple(self, schema: Json, depth: int, into: Shape) -> None:
        types = _types(schema)
        into.types |= types
        into.free |= not types or (
            "object" in types and not schema.get("properties") and schema.get("additionalProperties", True) is not False
        )
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        into.values = None if values is None and types != {"null"} else _joined(into.values, values or ())
        if schema.get("properties"):
            required = set(schema.get("required", ()))
            into.required = required if into.required is None else into.required & required
        if depth < DEPTH:
            for name, child in schema.get("properties", {}).items():
                into.properties[name] = self.shape(child, depth + 1, into.properties.get(name))
            if isinstance(schema.get("items"), Mapping):
                into.items = self.shape(schema["items"], depth + 1, into.items)

    def _whole(self, schema: Json) -> Json:
        """Without references, and with what `allOf` adds."""
        while "$ref" in schema:
            schema = {**self._at(schema["$ref"]), **{key: value for key, value in schema.items() if key != "$ref"}}
        for part in map(self._whole, schema.get("allOf", ())):
            schema = _merged(schema, part)
        return schema

    def _at(self, reference: str) -> Json:
        found: Any = self._document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return found


def _merged(schema: Json, part: Json) -> Json:
    union = {key: [*schema.get(key, ()), *part.get(key, ())] for key in ("required", "anyOf", "oneOf") if key in schema or key in part}
    properties = {**part.get("properties", {}), **schema.get("properties", {})}
    return {**part, **{key: value for key, value in schema.items() if key != "allOf"}, **union, "properties": properties}


def _joined(known: set[Any] | None, values: Iterator[Any] | list[Any] | tuple[Any, ...]) -> set[Any] | None:
    return None if known is None else known | {value for value in values if value is not None}


def _types(schema: Json) -> set[str]:
    told = schema.get("type")
    types = set(told) if isinstance(told, list) else {told} if told else set[str]()
    if not types and schema.get("properties"):
        types = {"object"}
    if not types and (values := schema.get("enum", [schema["const"]] if "const" in schema else ())):
        types = {
            "string" if isinstance(value, str) else "boolean" if isinstance(value, bool) else "null" if value is None else "number"
            for value in values
        }
    if schema.get("nullable"):
        types.add("null")
    return {"number" if kind == "integer" else kind for kind in types}


def _common_tag(alternatives: list[Json]) -> str | None:
    """The tag that tells at least two of them apart."""
    for tag in TAGS:
        if len({_tag_value(a, tag) for a in alternatives} - {None}) > 1:
            return tag
    return None


def _tag_value(schema: Json, tag: str) -> str | None:
    child = schema.get("properties", {}).get(tag, {})
    values = child.get("enum", [child["const"]] if "const" in child else [])
    return values[0] if len(values) == 1 and isinstance(values[0], str) else None
