"""What is done to every schema before a grammar is made of it, of a tool or of an answer."""

from typing import Any

from server.text.tool_calls.grammar.anchors import with_pointers
from server.text.tool_calls.grammar.endless import without_endless_parts
from server.text.tool_calls.grammar.normalize_schema import normalize_keywords, normalize_schema
from server.text.tool_calls.grammar.references import without_siblings
from server.text.tool_calls.grammar.schema import Schema, SchemaError, as_dict, map_schemas, string_items
from server.text.tool_calls.grammar.schema_limits import MAX_MULTIPLE, as_integer, check_size


def prepare_schema(schema: Schema, *, lenient: bool, close: bool = False) -> Schema:
    """An equivalent schema that a grammar can be made of, or one that allows more where it is `lenient`. `close`: objects that list
    their properties get no others. Raises SchemaError for one that is too large or that no finite value fits, and, unless `lenient`,
    for one that no grammar can enforce."""
    if lenient:
        schema = as_dict(map_schemas(schema, _without_costly_keywords))
    check_size(schema)
    schema = without_endless_parts(without_siblings(with_pointers(schema), lenient=lenient))
    schema = as_dict(map_schemas(schema, normalize_keywords))
    if close:
        schema = normalize_schema(schema)
    return as_dict(map_schemas(schema, lambda part: _with_countable_names(part, lenient=lenient)))


def _without_costly_keywords(part: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in part.items() if name != "multipleOf" or as_integer(value) <= MAX_MULTIPLE}


def _with_countable_names(part: dict[str, Any], *, lenient: bool) -> dict[str, Any]:
    """A grammar counts pairs, not names: where names are free, it takes {"a": 1, "a": 2} for two properties."""
    least = part.get("minProperties")
    if not isinstance(least, int) or least < 2 or not _has_free_names(part):
        return part
    if not (lenient or least <= len(set(string_items(part.get("required"))))):
        raise SchemaError("minProperties", f"({least}) cannot be enforced where names of properties are free: one may be written twice")
    return {name: value for name, value in part.items() if name != "minProperties"}


def _has_free_names(part: Schema) -> bool:
    return bool(part.get("patternProperties")) or part.get("additionalProperties", True) is not False
