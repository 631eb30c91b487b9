"""What the schema checks have in common: a traversal of nested JSON, and the keywords that refer to other schemas."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

Json = Mapping[str, Any]

REFERENCE_KEYWORDS = ("$ref", "$dynamicRef", "$recursiveRef")


def walk(root: Any) -> Iterator[tuple[int, Any]]:
    """All values in nested objects and lists, `root` itself first, with their depth. Not recursive: the depth is not trusted."""
    pending: list[tuple[int, Any]] = [(0, root)]
    while pending:
        depth, value = pending.pop()
        yield depth, value
        if isinstance(value, Mapping):
            pending.extend((depth + 1, inner) for inner in cast("Json", value).values())
        elif isinstance(value, list):
            pending.extend((depth + 1, inner) for inner in cast("list[Any]", value))
