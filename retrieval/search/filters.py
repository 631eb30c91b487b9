"""What a filter over attributes means. The databases may compile it to SQL; the answers are these."""

from retrieval.api import Attributes, Combine, Compare, Filter, Value


def matches(filter: Filter, attributes: Attributes) -> bool:
    """A missing key equals nothing and is in no list. true is not 1, and there is no order between booleans or between a
    number and a string."""
    if isinstance(filter, Combine):
        answers = (matches(part, attributes) for part in filter.filters)
        return all(answers) if filter.op == "and" else any(answers)
    return _compares(filter, attributes.get(filter.key))


def _compares(filter: Compare, value: Value | None) -> bool:
    given = filter.value
    match filter.op:
        case "in" | "nin":
            options = given if isinstance(given, tuple) else (given,)
            return any(_same(value, option) for option in options) == (filter.op == "in")
        case "eq" | "ne":
            return (not isinstance(given, tuple) and _same(value, given)) == (filter.op == "eq")
        case _:
            return _ordered(filter.op, value, given)


def _same(value: Value | None, other: Value) -> bool:
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _ordered(op: str, value: Value | None, other: Value | tuple[Value, ...]) -> bool:
    if isinstance(value, str) and isinstance(other, str):
        return _order(op, value < other, value == other)
    if _number(value) and _number(other):
        return _order(op, value < other, value == other)  # type: ignore[operator]
    return False


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _order(op: str, less: bool, same: bool) -> bool:
    return {"lt": less, "lte": less or same, "gt": not less and not same, "gte": not less}[op]
