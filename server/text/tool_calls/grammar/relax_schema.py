"""A schema without what no grammar can enforce, for those who did not ask for more (`strict`). llguidance leaves out most of that
itself, where it is told to (`lenient`): uniqueItems, not, if, dependentRequired and the like, and oneOf becomes anyOf. Here goes
what it refuses all the same, patterns that look around or refer back and bounds that it cannot count to; and what it would not leave
out but get wrong: how many properties there may be, where some of those that are listed need not be there."""

import json
from collections.abc import Iterator
from typing import Any

from llguidance import LLMatcher

from server.text.tool_calls.grammar.schema import Schema, as_dict, rebuilt

WHITE = r"( |\n[ \t]{0,24})?"  # a model left free to add white space may do so for ever
TEXT = ("pattern", "minLength", "maxLength")
NUMBER = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
COUNTS, MISCOUNTED = ("minProperties", "maxProperties"), "min/maxProperties"
IMPOSSIBLE = "Unsatisfiable"  # nothing fits: not a keyword is to blame, but the schema


def rule(schema: Schema, *, lenient: bool) -> str:
    """`schema` within a rule of a Lark grammar."""
    return f"%json {json.dumps({**schema, 'x-guidance': {'whitespace_pattern': WHITE, 'lenient': lenient}})}"


def wrong(body: str) -> str:
    """Why the right side of a rule cannot be used; "": it can be."""
    return LLMatcher.validate_grammar(LLMatcher.grammar_from_lark(f"start: {body}"))


def relaxed(schema: Schema) -> dict[str, Any]:
    """For a lenient rule. It is `schema` itself, where that can be enforced as a whole. Costs a fraction of a millisecond for each
    pattern and bound."""
    if not wrong(rule(schema, lenient=False)):
        return dict(schema)
    found = as_dict(rebuilt(schema, _eased))
    return as_dict(rebuilt(found, _uncounted)) if _miscounts(found) else found


def _miscounts(schema: Schema) -> bool:
    """Of properties, where several schemas together say how many there may be."""
    _, told = LLMatcher.validate_grammar_with_warnings(LLMatcher.grammar_from_lark(f"start: {rule(schema, lenient=True)}"))
    return any("minProperties" in one or MISCOUNTED in one for one in told)


def _uncounted(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in COUNTS}


def _eased(schema: dict[str, Any]) -> dict[str, Any]:
    schema = _named(schema)
    number = "integer" if schema.get("type") == "integer" else "number"
    left_out = {*_unknown(schema, "string", TEXT), *_unknown(schema, number, NUMBER), *_unknown(schema, "object", ("$schema",))}
    left_out |= {name for name in COUNTS if name in schema and MISCOUNTED in wrong(rule(_bare(schema, name), lenient=False))}
    return {name: value for name, value in schema.items() if name not in left_out}


def _bare(schema: Schema, *names: str) -> dict[str, Any]:
    """Of an object no more than what its properties are called, and these keywords."""
    said = {name: schema[name] for name in (*names, "required", "additionalProperties") if name in schema}
    return {**said, "type": "object", "properties": dict.fromkeys(as_dict(schema.get("properties")), True)}


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    """Without property names that cannot be told. What has one of those is then none of the others, but not forbidden."""
    named = as_dict(schema.get("patternProperties"))
    known = {pattern: inner for pattern, inner in named.items() if _known("object", {"patternProperties": {pattern: {}}})}
    if known == named:
        return schema
    left = {name: value for name, value in schema.items() if name not in ("additionalProperties", "unevaluatedProperties")}
    return {**left, "patternProperties": known}


def _unknown(schema: Schema, kind: str, names: tuple[str, ...]) -> Iterator[str]:
    """Those of the keywords that cannot be enforced, alone or together."""
    said = {name: schema[name] for name in names if isinstance(schema.get(name), str | int | float)}
    if said and not _known(kind, said):
        yield from [name for name in said if not _known(kind, {name: said[name]})] or said


def _known(kind: str, keywords: Schema) -> bool:
    found = wrong(rule({"type": kind, **keywords}, lenient=False))
    return not found or IMPOSSIBLE in found
