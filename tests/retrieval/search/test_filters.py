"""What filters mean, case by case."""

import pytest

from retrieval.api import Attributes, Combine, Compare, Filter, Value
from retrieval.search.filters import matches

HELD: Attributes = {"n": 3, "x": 2.5, "s": "pear", "yes": True, "one": 1, "text": "10"}


@pytest.mark.parametrize(
    ("op", "key", "value", "answer"),
    [
        ("eq", "n", 3, True),
        ("eq", "n", 3.0, True),
        ("eq", "n", "3", False),
        ("eq", "yes", True, True),
        ("eq", "yes", 1, False),
        ("eq", "one", True, False),
        ("eq", "missing", 3, False),
        ("ne", "n", 3, False),
        ("ne", "n", 4, True),
        ("ne", "n", "3", True),
        ("ne", "missing", 3, True),
        ("gt", "n", 2, True),
        ("gt", "n", 3, False),
        ("gt", "x", 2, True),
        ("gte", "n", 3, True),
        ("gte", "n", 3.5, False),
        ("lt", "n", 3, False),
        ("lt", "s", "quince", True),
        ("lte", "s", "pear", True),
        ("lte", "text", 20, False),
        ("gt", "text", "1", True),
        ("gt", "yes", 0, False),
        ("gte", "yes", True, False),
        ("lt", "missing", 3, False),
        ("in", "s", ("apple", "pear"), True),
        ("in", "s", (), False),
        ("in", "one", (True, 2), False),
        ("in", "missing", ("a",), False),
        ("nin", "s", ("apple",), True),
        ("nin", "s", ("pear",), False),
        ("nin", "missing", ("a",), True),
        ("nin", "n", (), True),
    ],
)
def test_comparisons(op: str, key: str, value: Value | tuple[Value, ...], answer: bool) -> None:
    assert matches(Compare(op=op, key=key, value=value), HELD) is answer  # type: ignore[arg-type]


def test_combinations() -> None:
    yes, no = Compare(op="eq", key="n", value=3), Compare(op="eq", key="n", value=4)

    def combined(op: str, *filters: Filter) -> bool:
        return matches(Combine(op=op, filters=filters), HELD)  # type: ignore[arg-type]

    assert [combined("and", yes, yes), combined("and", yes, no), combined("or", no, yes), combined("or", no, no)] == [1, 0, 1, 0]
    assert combined("and", yes, Combine(op="or", filters=(no, Combine(op="and", filters=(yes, yes)))))
