"""Attribute filters as PostgreSQL expressions, with the semantics of retrieval/search/filters.py."""

import json
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, and_, cast, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import JSONB

from retrieval.api import Combine, Compare, Filter, Value
from retrieval.store.schema import members

ORDER_OPERATORS: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}


def condition(filter: Filter) -> ColumnElement[bool]:
    """The filter as a condition on rows of `members`; never evaluates to NULL."""
    if isinstance(filter, Combine):
        parts = [condition(part) for part in filter.filters]
        return and_(literal(True), *parts) if filter.op == "and" else or_(literal(False), *parts)
    return _compares(filter)


def _compares(filter: Compare) -> ColumnElement[bool]:
    value, expected = cast(members.c.attributes, JSONB)[filter.key], filter.value
    match filter.op:
        case "in" | "nin":
            found = _equals_any(value, expected if isinstance(expected, tuple) else (expected,))
            return found if filter.op == "in" else not_(found)
        case "eq" | "ne":
            found = _equals_any(value, () if isinstance(expected, tuple) else (expected,))
            return found if filter.op == "eq" else not_(found)
        case _:
            return func.coalesce(_compare_order(filter.op, value, expected), literal(False))


def _equals_any(value: ColumnElement[Any], options: tuple[Value, ...]) -> ColumnElement[bool]:
    """jsonb comparison has the wanted semantics: true != 1, 1 != "1", 1 = 1.0."""
    return func.coalesce(or_(literal(False), *(value == _jsonb(option) for option in options)), literal(False))


def _compare_order(op: str, value: Any, expected: Value | tuple[Value, ...]) -> ColumnElement[bool]:
    if isinstance(expected, str):  # by code point as in Python; jsonb would use the database's collation
        return and_(func.jsonb_typeof(value) == "string", ORDER_OPERATORS[op](value.astext.collate("C"), expected))
    if isinstance(expected, bool | tuple):
        return literal(False)
    return and_(func.jsonb_typeof(value) == "number", ORDER_OPERATORS[op](value, _jsonb(expected)))


def _jsonb(value: Value) -> ColumnElement[Any]:
    return cast(literal(json.dumps(value, ensure_ascii=False)), JSONB)
