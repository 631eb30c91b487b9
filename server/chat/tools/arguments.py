"""Checking the arguments of a tool call against the tool's JSON Schema."""

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import UnknownType, relevance
from referencing import Registry
from referencing.exceptions import Unresolvable

from server.core.messages import Json
from server.text.tool_calls.grammar.schema import map_schemas

PATTERN_DEPENDENT = ("patternProperties", "additionalProperties", "unevaluatedProperties")  # the others apply to what the first leaves over


def parse_arguments(text: str, schema: Mapping[str, Any]) -> Json | str:
    """The parsed arguments, or an error message for the model."""
    try:
        arguments = json.loads(text or "{}", parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return f"the arguments are not valid JSON: {error}"
    if not isinstance(arguments, dict):
        return "the arguments must be a JSON object"
    parsed: Json = arguments  # pyright: ignore[reportUnknownVariableType] (JSON has no other keys than strings)
    return schema_error(parsed, schema) or parsed


def schema_error(arguments: Json, schema: Mapping[str, Any]) -> str | None:
    """What does not fit the schema, in short. An unusable schema lets everything through; the MCP server checks for itself."""
    validator = Draft202012Validator(map_schemas(schema, _checkable), registry=Registry[Any]())
    try:
        errors: list[ValidationError] = list(validator.iter_errors(arguments))  # pyright: ignore[reportUnknownMemberType, reportArgumentType]
    except (UnknownType, Unresolvable, RecursionError, TypeError, ValueError, AttributeError, LookupError, ArithmeticError):
        return None
    if not errors:
        return None
    error = max(errors, key=relevance)
    where = ".".join(map(str, error.absolute_path))
    return f"{where or 'arguments'}: {error.message[:300]}"


def _checkable(schema: Json) -> Json:
    """The schema without regular expressions, which are untrusted and may take exponential time."""
    dropped = {"pattern", *(PATTERN_DEPENDENT if "patternProperties" in schema else ())}
    return {key: value for key, value in schema.items() if key not in dropped}


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def canonical_arguments(arguments: str) -> str:
    """The same text for equal JSON, however it is spelled; the text itself if it cannot be parsed."""
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
