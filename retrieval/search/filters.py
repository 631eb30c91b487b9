"""Attribute filters: the reference semantics, which SQL translations must match."""

from retrieval.api import Attributes, Combine, Compare, Filter, Value


def matches(filter: Filter, attributes: Attributes) -> bool:
    """A missing key equals nothing and is in no list. true is not 1, and there is no order between booleans or between a
    number and a string."""
    if isinstance(filter, Combine):
        answers = (matches(part, attributes) for part in filter.filters)
        return all(answers) if filter.op == "and" else any(answers)
    return _compares(filter, attributes.get(filter.key))


def _compares(filter: Compare, value: Value | None) -> bool:
    expected = filter.value
    match filter.op:
        case "in" | "nin":
            options = expected if isinstance(expected, tuple) else (expected,)
            return any(_equal(value, option) for option in options) == (filter.op == "in")
        case "eq" | "ne":
            return (not isinstance(expected, tuple) and _equal(value, expected)) == (filter.op == "eq")
        case _:
            return _compare_order(filter.op, value, expected)


def _equal(value: Value | None, other: Value) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _compare_order(op: str, value: Value | None, other: Value | tuple[Value, ...]) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        return _order_holds(op, value < other, value == other)
    if _is_number(value) and _is_number(other):
        return _order_holds(op, value < other, value == other)  # type: ignore[operator]
    return False


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order_holds(op: str, less: bool, same: bool) -> bool:
    return {"lt": less, "lte": less or same, "gt": not less and not same, "gte": not less}[op]
