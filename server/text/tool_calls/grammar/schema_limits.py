"""How large a schema, a pattern or a choice may be: what is larger takes seconds to compile, or to look up at each token."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

from server.text.tool_calls.grammar.pattern_size import expanded_size
from server.text.tool_calls.grammar.schema import ALTERNATIVES, VALUE_KEYWORDS, Schema, SchemaError

MAX_SCHEMA = 262_144  # characters of one schema as JSON
MAX_DEPTH = 64  # objects and arrays in one another, as JSON
MAX_PROPERTIES = 5000  # of all objects in a schema together
MAX_OBJECT_PROPERTIES = 1000  # of one object
MAX_VALUES = 10_000  # of all enums in a schema together, or options of a choice
MAX_LITERAL = 8192  # characters of one value, option or name
MAX_CHOICE = 262_144  # characters of all options
MAX_PATTERN = 4096  # characters
MAX_PATTERNS = 100
MAX_EXPANDED = 10_000  # characters and classes of a pattern, with repetitions written out
MAX_MULTIPLE = 10_000  # multipleOf, as an integer: 25 for 0.25
MAX_COMBINATIONS = 1000  # of alternatives within an allOf

Path = tuple[str, ...]


def check_size(schema: Schema) -> None:
    """Raises SchemaError."""
    check_text(json.dumps(schema, default=dict))
    counts = dict.fromkeys(("properties", "values", "patterns"), 0)
    multiples = 1
    for path, part in _objects(schema):
        _limit(path, len(path), MAX_DEPTH, "levels of depth")
        properties, values = part.get("properties"), part.get("enum")
        counts["properties"] += len(cast(Schema, properties)) if isinstance(properties, Mapping) else 0
        counts["values"] += len(cast(list[Any], values)) if isinstance(values, list) else 0
        counts["patterns"] += ("pattern" in part) + len(part.get("patternProperties") or ())
        multiples = math.lcm(multiples, _check_part(path, part))
    _limit((), counts["properties"], MAX_PROPERTIES, "properties")
    _limit((), counts["values"], MAX_VALUES, "values of enum")
    _limit((), counts["patterns"], MAX_PATTERNS, "patterns")
    _limit((), multiples, MAX_MULTIPLE, "as the least common multiple of all multipleOf")


def check_text(schema: str) -> None:
    """Of a schema as JSON, before anything is done with it. Raises SchemaError."""
    _limit((), len(schema), MAX_SCHEMA, "characters as JSON")


def check_pattern(pattern: str) -> None:
    """Raises SchemaError."""
    _check_pattern((), pattern)


def check_choice(options: Sequence[str]) -> None:
    """Raises SchemaError."""
    _limit((), len(options), MAX_VALUES, "options")
    _limit((), sum(map(len, options)), MAX_CHOICE, "characters")
    _check_literals((), options)


def _check_part(path: Path, part: Schema) -> int:
    """Returns its multipleOf, as an integer; 1 if there is none."""
    for name, values in (("properties", part.get("properties")), ("enum", part.get("enum")), ("const", [part.get("const")])):
        _check_literals((*path, name), cast(Any, values) if isinstance(values, list | Mapping) else ())
    if isinstance(properties := part.get("properties"), Mapping):
        _limit((*path, "properties"), len(cast(Schema, properties)), MAX_OBJECT_PROPERTIES, "properties in one object")
    for pattern in [part.get("pattern"), *(part.get("patternProperties") or ())]:
        if isinstance(pattern, str):
            _check_pattern((*path, "pattern"), pattern)
    _limit((*path, "allOf"), _combinations(part), MAX_COMBINATIONS, "combinations of alternatives")
    multiple = as_integer(part.get("multipleOf"))
    _limit((*path, "multipleOf"), multiple, MAX_MULTIPLE, "without its decimal point")
    return multiple


def _check_literals(path: Path, values: Any) -> None:
    for value in values:
        if isinstance(value, str):
            _limit(path, len(value), MAX_LITERAL, "characters in one text")


def _check_pattern(path: Path, pattern: str) -> None:
    _limit(path, len(pattern), MAX_PATTERN, "characters")
    _limit(path, expanded_size(pattern), MAX_EXPANDED, "characters with its repetitions written out")


def _combinations(part: Schema) -> int:
    parts = part.get("allOf")
    counts = [
        len(cast(list[Any], options))
        for one in (cast(list[Any], parts) if isinstance(parts, list) else [])
        if isinstance(one, Mapping)
        for options in (cast(Schema, one).get(name) for name in ALTERNATIVES)
        if isinstance(options, list) and options
    ]
    return math.prod(counts)


def as_integer(multiple: Any) -> int:
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not math.isfinite(multiple) or multiple <= 0:
        return 1
    digits = Decimal(str(multiple))
    exponent = digits.as_tuple().exponent
    return int(digits.scaleb(-exponent if isinstance(exponent, int) and exponent < 0 else 0))


def _objects(schema: Any) -> Iterator[tuple[Path, Schema]]:
    """All JSON objects in it with their paths, but for values."""
    queue: list[tuple[Path, Any]] = [((), schema)]
    while queue:
        path, value = queue.pop()
        if isinstance(value, Mapping):
            part = cast(Schema, value)
            yield path, part
            queue += [
                ((*path, key), below) for key, below in part.items() if key not in VALUE_KEYWORDS and isinstance(below, Mapping | list)
            ]
        elif isinstance(value, list):
            items = cast(list[Any], value)
            queue += [((*path, str(i)), below) for i, below in enumerate(items) if isinstance(below, Mapping | list)]


def _limit(path: Path, found: int, most: int, what: str) -> None:
    if found > most:
        raise SchemaError(".".join(path), f"has {found} {what}; the limit is {most}")
