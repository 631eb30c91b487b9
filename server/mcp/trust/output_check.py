"""Whether what a tool brought is what its schema promised, in a bounded number of steps: both are a stranger's."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry

from server.mcp.trust.tool_validation import Json, defuse

STEPS = 1_000_000  # keywords, and members of what they look at; some seconds at worst, in a thread
WORDS = 300  # characters of what is wrong

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]


class TooMuch(Exception): ...


class Check:
    """Safe in any thread."""

    def __init__(self, schema: Json) -> None:
        self._kind: Any = validators.validator_for(schema, default=Draft202012Validator)
        self._schema = json.loads(json.dumps(schema))
        defuse(self._schema)

    def wrong(self, content: Any) -> str | None:
        """What is wrong with it, in words; None: nothing."""
        left = [STEPS]
        keywords = {name: _counted(keyword, left) for name, keyword in {**self._kind.VALIDATORS, "uniqueItems": _unique}.items()}
        library: Any = validators  # its `extend` is untyped
        try:
            error = next(library.extend(self._kind, keywords)(self._schema, registry=Registry[Any]()).iter_errors(content), None)
        except TooMuch:
            return "there is too much of it to be checked"
        except RecursionError:
            return "it is nested too deeply"
        return None if error is None else str(error.message)[:WORDS]


def _counted(keyword: Keyword, left: list[int]) -> Keyword:
    def counted(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
        left[0] -= 1 + _size(value) + _size(instance)
        if left[0] < 0:
            raise TooMuch
        yield from keyword(validator, value, instance, schema) or ()

    return counted


def _size(value: Any) -> int:
    return len(cast("list[Any]", value)) if isinstance(value, list | dict) else 0


def _unique(validator: Any, value: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """The library compares each with each."""
    if value is True and isinstance(instance, list):
        items = cast("list[Any]", instance)
        if len({json.dumps(_plain(item), sort_keys=True) for item in items}) < len(items):
            yield ValidationError("its items are not all different")


def _plain(item: Any) -> Any:
    """1.0 is 1 to JSON Schema."""
    if isinstance(item, float) and item.is_integer():
        return int(item)
    if isinstance(item, list):
        return [_plain(inner) for inner in cast("list[Any]", item)]
    if isinstance(item, Mapping):
        return {key: _plain(inner) for key, inner in cast("Json", item).items()}
    return item
