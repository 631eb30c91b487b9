"""A schema without what no grammar can enforce, for those who did not ask for more (`strict`). llguidance leaves out most of that
itself, where it is told to (`lenient`): uniqueItems, not, if, dependentRequired and the like, and oneOf becomes anyOf. Here goes
what it refuses all the same, patterns that look around or refer back and bounds that it cannot count to; and what it would not leave
out but get wrong: how many properties there may be, where some of those that are listed need not be there."""

import json
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher

from server.text.tool_calls.grammar.schema import Schema, as_dict, map_schemas

WHITESPACE = r"( |\n[ \t]{0,24})?"  # a model left free to add white space may do so for ever
STRING_BOUNDS = ("pattern", "minLength", "maxLength")
NUMBER_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
PROPERTY_COUNTS, COUNT_ERROR = ("minProperties", "maxProperties"), "min/maxProperties"
UNSATISFIABLE = "Unsatisfiable"  # nothing fits: not a keyword is to blame, but the schema


def json_directive(schema: Schema, *, lenient: bool) -> str:
    """`schema` within a rule of a Lark grammar."""
    return f"%json {json.dumps({**schema, 'x-guidance': {'whitespace_pattern': WHITESPACE, 'lenient': lenient}})}"


def rule_error(body: str) -> str:
    """Why the right side of a rule cannot be used; "": it can be."""
    return LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(f"start: {body}"))


def relax_schema(schema: Schema) -> dict[str, Any]:
    """For a lenient rule. It is `schema` itself, where that can be enforced as a whole. Costs a fraction of a millisecond for each
    pattern and bound."""
    if not rule_error(json_directive(schema, lenient=False)):
        return dict(schema)
    found = as_dict(map_schemas(schema, _drop_unenforceable))
    return as_dict(map_schemas(found, _drop_counts)) if _miscounts_properties(found) else found


def _miscounts_properties(schema: Schema) -> bool:
    """Of properties, where several schemas together say how many there may be."""
    _, told = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_lark(f"start: {json_directive(schema, lenient=True)}"))
    return any("minProperties" in one or COUNT_ERROR in one for one in told)


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
        if name in schema and COUNT_ERROR in rule_error(json_directive(_object_skeleton(schema, name), lenient=False))
    }
    return {name: value for name, value in schema.items() if name not in left_out}


def _object_skeleton(schema: Schema, *names: str) -> dict[str, Any]:
    """Of an object no more than what its properties are called, and these keywords."""
    said = {name: schema[name] for name in (*names, "required", "additionalProperties") if name in schema}
    return {**said, "type": "object", "properties": dict.fromkeys(as_dict(schema.get("properties")), True)}


def _drop_unknown_patterns(schema: dict[str, Any]) -> dict[str, Any]:
    """Without property names that cannot be told. What has one of those is then none of the others, but not forbidden."""
    named = as_dict(schema.get("patternProperties"))
    known = {pattern: inner for pattern, inner in named.items() if _is_enforceable("object", {"patternProperties": {pattern: {}}})}
    if known == named:
        return schema
    left = {name: value for name, value in schema.items() if name not in ("additionalProperties", "unevaluatedProperties")}
    return {**left, "patternProperties": known}


def _unenforceable(schema: Schema, kind: str, names: tuple[str, ...]) -> Iterator[str]:
    """Those of the keywords that cannot be enforced, alone or together."""
    said = {name: schema[name] for name in names if isinstance(schema.get(name), str | int | float)}
    if said and not _is_enforceable(kind, said):
        yield from [name for name in said if not _is_enforceable(kind, {name: said[name]})] or said


def _is_enforceable(kind: str, keywords: Schema) -> bool:
    found = rule_error(json_directive({"type": kind, **keywords}, lenient=False))
    return not found or UNSATISFIABLE in found
