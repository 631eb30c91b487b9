"""Parts of a schema that no finite value fits, because they require themselves: {"$defs": {"N": {"$ref": "#/$defs/N"}}}. A grammar for one
would go on for ever, or allow no token in the middle of an answer. Which parts have a finite value is a least fixpoint over the
references: at first none has, then those that need no reference, then those that need only these."""

from collections.abc import Mapping
from typing import Any, cast

from server.text.tool_calls.grammar.references import pointed, reference
from server.text.tool_calls.grammar.schema import ALTERNATIVES, SCHEMA_MAPS, Schema, SchemaError, as_dict, map_schemas, string_items

SCALARS = frozenset({"string", "number", "integer", "boolean", "null"})


def without_endless_parts(schema: Schema) -> Schema:
    """Optional parts that are endless become `false`: no value. Raises SchemaError with the place of a required one."""
    if "$ref" not in repr(schema):
        return schema
    finite = Finite(schema)
    if not finite.fits(schema):
        raise SchemaError(finite.place(schema), "never comes to an end: it requires itself, so no finite value fits it")
    return as_dict(map_schemas(schema, lambda part: finite.pruned(part)))


class Finite:
    """Which parts of one schema have a finite value."""

    def __init__(self, root: Schema) -> None:
        self._root, self._refs = root, set[str]()  # references to what has one
        while new := [ref for ref in _all_references(root) - self._refs if self.fits(pointed(ref, root))]:
            self._refs.update(new)

    def fits(self, schema: Any) -> bool:
        """Whether some finite value does, as far as references decide it."""
        if not isinstance(schema, Mapping):
            return schema is not False
        part = cast(Schema, schema)
        ref = reference(part)
        if ref is not None and ref.startswith("#") and pointed(ref, self._root) is not None and ref not in self._refs:
            return False
        return self._combined_fits(part) and self._own_fits(part)

    def place(self, schema: Any) -> str:
        """The path of an endless part of `schema`, as deep as possible before it repeats itself; "" is `schema` itself."""
        part = as_dict(schema)
        combined = [(f"{name}.{i}", one) for name in ("allOf", *ALTERNATIVES) for i, one in enumerate(_list(part.get(name)))]
        required = [found for name in ("object", "array") if name in _types(part) for found in _required(part, name)]
        for path, child in combined + required:
            if not self.fits(child):
                below = self.place(child)
                return f"{path}.{below}" if below else path
        return ""

    def pruned(self, part: dict[str, Any]) -> dict[str, Any]:
        """`part` with `false` in place of endless parts that are optional."""
        for name in SCHEMA_MAPS:
            if name in part:
                part[name] = {key: self._or_false(one) for key, one in as_dict(part[name]).items()}
        for name in ("items", "additionalProperties"):
            if isinstance(part.get(name), Mapping):
                part[name] = self._or_false(part[name])
        for name in (*ALTERNATIVES, "prefixItems"):
            if isinstance(options := part.get(name), list):
                part[name] = [self._or_false(one) for one in cast(list[Any], options)]
        return part

    def _or_false(self, schema: Any) -> Any:
        return schema if self.fits(schema) else False

    def _combined_fits(self, part: Schema) -> bool:
        for name in ALTERNATIVES:
            if isinstance(options := part.get(name), list) and options and not any(map(self.fits, cast(list[Any], options))):
                return False
        return all(map(self.fits, _list(part.get("allOf"))))

    def _own_fits(self, part: Schema) -> bool:
        """By its type: a string or a number always, an object or an array if what it requires does."""
        types = _types(part)
        if "const" in part or "enum" in part or not types or types & SCALARS:
            return True
        return any(all(self.fits(child) for _, child in _required(part, name)) for name in types)


def _types(part: Schema) -> set[str]:
    named = part.get("type")
    return {named} if isinstance(named, str) else set(string_items(named))


def _required(part: Schema, type_: str) -> list[tuple[str, Any]]:
    """Paths and schemas of what every value of this type has in it."""
    return _required_properties(part) if type_ == "object" else _required_items(part) if type_ == "array" else []


def _required_properties(part: Schema) -> list[tuple[str, Any]]:
    listed, required, least = as_dict(part.get("properties")), string_items(part.get("required")), part.get("minProperties", 0)
    found = [(f"properties.{name}", listed[name]) for name in required if name in listed]
    more = isinstance(least, int) and least > len(listed)
    if (more or set(required) - listed.keys()) and "patternProperties" not in part:
        found.append(("additionalProperties", part.get("additionalProperties", True)))
    return found


def _required_items(part: Schema) -> list[tuple[str, Any]]:
    first, least = _list(part.get("prefixItems")), part.get("minItems", 0)
    if not isinstance(least, int) or least < 1:
        return []
    found = [(f"prefixItems.{i}", one) for i, one in enumerate(first[:least])]
    return [*found, ("items", part.get("items", True))] if least > len(first) else found


def _all_references(schema: Any) -> set[str]:
    found = set[str]()

    def note(part: dict[str, Any]) -> dict[str, Any]:
        if (ref := reference(part)) is not None:
            found.add(ref)
        return part

    map_schemas(schema, note)
    return found


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
