"""Validates a tool's structured output against its output schema in a bounded number of steps: neither is trusted."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry

from server.mcp.trust.json_schema import Json

MAX_STEPS = 1_000_000  # keywords applied, and members of what they are applied to; some seconds at worst, in a thread
MAX_ERROR_CHARS = 300
SCHEMA_MAPS = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})  # keywords whose value maps names to schemas
NON_SCHEMA_KEYWORDS = frozenset({"const", "enum", "default", "examples"})  # keywords whose value contains no schemas
UNBOUNDED_KEYWORDS = ("pattern", "unevaluatedProperties", "unevaluatedItems", "$schema")

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class StepLimitExceeded(Exception): ...


class OutputValidator:
    """Thread-safe."""

    def __init__(self, schema: Json) -> None:
        self._class: Any = validators.validator_for(schema, default=Draft202012Validator)
        self._schema = json.loads(json.dumps(schema))
        strip_unbounded_keywords(self._schema)

    def find_error(self, content: Any) -> str | None:
        """The first violation of the schema, as a message; None: there is none."""
        remaining = [MAX_STEPS]
        keywords = {
            name: _count_steps(keyword, remaining) for name, keyword in {**self._class.VALIDATORS, "uniqueItems": _unique_items}.items()
        }
        library: Any = validators  # its `extend` is untyped
        try:
            error = next(library.extend(self._class, keywords)(self._schema, registry=Registry[Any]()).iter_errors(content), None)
        except StepLimitExceeded:
            return "there is too much of it to be checked"
        except RecursionError:
            return "it is nested too deeply"
        return None if error is None else str(error.message)[:MAX_ERROR_CHARS]


def _count_steps(keyword: Keyword, remaining: list[int]) -> Keyword:
    def counting_keyword(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        remaining[0] -= 1 + _size(value) + _size(instance)
        if remaining[0] < 0:
            raise StepLimitExceeded
        yield from keyword(validator, value, instance, schema) or ()

    return counting_keyword


def _size(value: Any) -> int:
    return len(cast("list[Any]", value)) if isinstance(value, list | dict) else 0


def _unique_items(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The keyword uniqueItems in linear time; the library compares all pairs."""
    if value is True and isinstance(instance, list):
        items = cast("list[Any]", instance)
        if len({json.dumps(_normalize_numbers(item), sort_keys=True) for item in items}) < len(items):
            yield ValidationError("its items are not all different")


def _normalize_numbers(item: Any) -> Any:
    """1.0 equals 1 in JSON Schema."""
    if isinstance(item, float) and item.is_integer():
        return int(item)
    if isinstance(item, list):
        return [_normalize_numbers(inner) for inner in cast("list[Any]", item)]
    if isinstance(item, Mapping):
        return {key: _normalize_numbers(inner) for key, inner in cast("Json", item).items()}
    return item


def strip_unbounded_keywords(schema: Any) -> None:
    """Removes, in place, the keywords whose evaluation may not end or that results do not need: regular expressions, unevaluated*
    and changes of dialect. additionalProperties goes where patternProperties did: it would reject what the patterns allowed."""
    pending: list[Any] = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(cast("list[Any]", node))
        elif isinstance(node, dict):
            subschema = cast("dict[str, Any]", node)
            for key in UNBOUNDED_KEYWORDS:
                subschema.pop(key, None)
            if subschema.pop("patternProperties", None) is not None:
                subschema.pop("additionalProperties", None)
            for key, value in subschema.items():
                if key in SCHEMA_MAPS and isinstance(value, dict):
                    pending.extend(cast("dict[str, Any]", value).values())
                elif key not in NON_SCHEMA_KEYWORDS:
                    pending.append(value)
