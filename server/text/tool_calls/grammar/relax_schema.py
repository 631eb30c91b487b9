"""Removes from a schema what no grammar can enforce, for tools that are not `strict`. With `lenient` llguidance itself ignores most of
that (uniqueItems, not, if, dependentRequired and the like) and treats oneOf as anyOf. Removed here is what it refuses nevertheless
(patterns with look-around or back-references, bounds outside its number range) and what it would enforce wrongly (min/maxProperties
with optional properties)."""

from collections.abc import Iterator
from typing import Any

from server.text.tool_calls.grammar.json_rule import json_rule, rule_error, rule_warnings
from server.text.tool_calls.grammar.schema import Schema, as_dict, map_schemas

STRING_BOUNDS = ("pattern", "minLength", "maxLength")
NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
PROPERTY_COUNTS, COUNT_ERROR = ("minProperties", "maxProperties"), "min/maxProperties"
UNSATISFIABLE = "Unsatisfiable"  # error of a schema that no value fits, whatever the keyword


def relax_schema(schema: Schema) -> dict[str, Any]:
    """For a lenient rule; a copy of `schema` if it can be enforced as a whole. Takes a fraction of a millisecond per pattern and bound."""
    if not rule_error(json_rule(schema, lenient=False)):
        return dict(schema)
    found = as_dict(map_schemas(schema, _drop_unenforceable))
    return as_dict(map_schemas(found, _drop_counts)) if _miscounts_properties(found) else found


def drop_unsatisfiable(schema: Schema) -> Schema:
    """With `{}` in place of parts that no value fits (an empty `enum`, a minimum above the maximum), for the tools of a request that
    others are part of. Parts with references stay as they are."""
    return as_dict(map_schemas(schema, _any_if_unsatisfiable)) if _is_unsatisfiable(schema) else schema


def _any_if_unsatisfiable(part: dict[str, Any]) -> dict[str, Any]:
    if not _is_unsatisfiable(part):
        return part
    return {"type": "object"} if part.get("type") == "object" else {}


def _is_unsatisfiable(schema: Schema) -> bool:
    return UNSATISFIABLE in rule_error(json_rule(schema, lenient=True))


def _miscounts_properties(schema: Schema) -> bool:
    """Whether llguidance would count properties wrongly, because several schemas together limit their number."""
    warnings = rule_warnings(json_rule(schema, lenient=True))
    return any("minProperties" in warning or COUNT_ERROR in warning for warning in warnings)


def _drop_counts(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in PROPERTY_COUNTS}


def _drop_unenforceable(schema: dict[str, Any]) -> dict[str, Any]:
    schema = _drop_unknown_patterns(schema)
    number = "integer" if schema.get("type") == "integer" else "number"
    left_out = {
        *_unenforceable(schema, "string", STRING_BOUNDS),
        *_unenforceable(schema, number, NUMBER_BOUNDS),
        *_unenforceable(schema, "object", ("$schema",)),
    }
    left_out |= {
        name
        for name in PROPERTY_COUNTS
        if name in schema and COUNT_ERROR in rule_error(json_rule(_object_skeleton(schema, name), lenient=False))
    }
    return {name: value for name, value in schema.items() if name not in left_out}


def _object_skeleton(schema: Schema, *names: str) -> dict[str, Any]:
    """An object schema with the names of its properties and these keywords only."""
    kept = {name: schema[name] for name in (*names, "required", "additionalProperties") if name in schema}
    return {**kept, "type": "object", "properties": dict.fromkeys(as_dict(schema.get("properties")), True)}


def _drop_unknown_patterns(schema: dict[str, Any]) -> dict[str, Any]:
    """Without patternProperties whose patterns cannot be enforced. Properties that match those must not be forbidden as unlisted ones."""
    patterns = as_dict(schema.get("patternProperties"))
    known = {pattern: inner for pattern, inner in patterns.items() if _is_enforceable("object", {"patternProperties": {pattern: {}}})}
    if known == patterns:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("additionalProperties", "unevaluatedProperties")}
    return {**rest, "patternProperties": known}


def _unenforceable(schema: Schema, type_: str, names: tuple[str, ...]) -> Iterator[str]:
    """Those of the keywords `names` that cannot be enforced, alone or together."""
    given = {name: schema[name] for name in names if isinstance(schema.get(name), str | int | float)}
    if given and not _is_enforceable(type_, given):
        yield from [name for name in given if not _is_enforceable(type_, {name: given[name]})] or given


def _is_enforceable(type_: str, keywords: Schema) -> bool:
    error = rule_error(json_rule({"type": type_, **keywords}, lenient=False))
    return not error or UNSATISFIABLE in error
