"""How much work a schema can make of little data. Definitions that refer to the next one twice, twenty deep, are short to write and
take for ever to check: so that is counted, and never tried."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, cast

from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012, Schema

Json = Mapping[str, Any]

HERE = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"))  # say more of the same value
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
NAMED = frozenset(("properties", "patternProperties", "dependentSchemas", "dependencies"))  # hold schemas by names
EITHER = (("properties", "additionalProperties"), ("prefixItems", "items", "additionalItems"))  # of these, one looks at a member
DATA = frozenset(("const", "enum", "default", "examples", "$defs", "definitions"))  # are not looked at, unless referred to
STEPS = 10_000  # schemas that may look at one value and, each in its turn, at one member, and so on inwards
REACH = 64  # schemas one inside the other that look at the same value


class UnboundedSchema(Exception):
    """Why nothing should be checked against a schema."""


class _Node(NamedTuple):
    here: list[int]  # schemas that look at the same value
    inside: dict[str, list[int]]  # keyword -> schemas that look at its members


def measure(schema: Json) -> int:
    """The most schemas that may look at one value and what is in it, along one path. Where a schema is within itself it is
    counted once: how often depends on the data. Raises Endless, and what `referencing` does of references that lead nowhere."""
    nodes = _nodes(schema)
    try:
        order = list(TopologicalSorter({at: node.here for at, node in nodes.items()}).static_order())
    except CycleError:
        raise UnboundedSchema("refers to itself without end") from None
    reach = dict[int, int]()
    for at in order:
        reach[at] = 1 + max((reach[to] for to in nodes[at].here), default=0)
    if max(reach.values()) > REACH:
        raise UnboundedSchema(f"goes from reference to reference more than {REACH} times")
    if (steps := _steps(nodes, id(schema))) > STEPS:
        raise UnboundedSchema(f"makes too much work: {steps} steps for a small value")
    return steps


def _nodes(schema: Json) -> dict[int, _Node]:
    """What can be reached from the root, by the identity of each object."""
    resource = Resource[Schema].from_contents(cast("Schema", schema), default_specification=DRAFT202012)
    resolver = Registry[Schema]().with_resource("", resource).crawl().resolver(resource.id() or "")
    found, waiting = dict[int, _Node](), [schema]
    while waiting:
        at = waiting.pop()
        if id(at) in found:
            continue
        node = found[id(at)] = _Node([], {})
        for key, inner in _inner(at):
            (node.here if key in HERE else node.inside.setdefault(key, [])).append(id(inner))
            waiting.append(inner)
        for key in REFERENCES:
            if isinstance(aim := at.get(key), str):
                target = resolver.lookup(aim).contents
                if isinstance(target, Mapping):
                    node.here.append(id(target))
                    waiting.append(target)
    return found


def _inner(schema: Json) -> Iterator[tuple[str, Json]]:
    for key, value in schema.items():
        if key in DATA:
            continue
        named = key in NAMED and isinstance(value, Mapping)
        held: list[Any] = list(cast("Json", value).values()) if named else cast("list[Any]", value) if isinstance(value, list) else [value]
        yield from ((key, cast("Json", inner)) for inner in held if isinstance(inner, Mapping))


def _steps(nodes: Mapping[int, _Node], root: int) -> int:
    """Without recursion: a path through all definitions may be long."""
    known, open_, waiting = dict[int, int](), set[int](), [root]
    while waiting:
        at = waiting[-1]
        node = nodes[at]
        if at not in known and at not in open_:
            open_.add(at)
            waiting.extend(to for to in _next(node) if to not in known and to not in open_)
            continue
        waiting.pop()
        if at not in known:
            known[at] = 1 + sum(known.get(to, 0) for to in node.here) + _members(node, known)
            open_.discard(at)
    return known[root]


def _next(node: _Node) -> Iterator[int]:
    yield from node.here
    for inner in node.inside.values():
        yield from inner


def _members(node: _Node, known: Mapping[int, int]) -> int:
    """One member is looked at by one of its properties, but by all of its patterns."""
    single = {key for group in EITHER for key in group}
    most = sum(max((known.get(to, 0) for key in group for to in node.inside.get(key, ())), default=0) for group in EITHER)
    return most + sum(known.get(to, 0) for key, inner in node.inside.items() if key not in single for to in inner)
