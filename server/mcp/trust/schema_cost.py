"""The worst-case cost of validating against a JSON Schema, computed without validating anything: definitions that each refer to the
next one twice are short to write, and take exponential time to evaluate."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple, cast

from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012, Schema

from server.mcp.trust.json_schema import REFERENCE_KEYWORDS, Json

# Keywords that apply schemas to the same value ("in-place applicators"); all others that hold schemas apply them to its members.
IN_PLACE_KEYWORDS = frozenset(("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"))
SCHEMA_MAPS = frozenset(("properties", "patternProperties", "dependentSchemas", "dependencies"))  # their value maps names to schemas
# Of the schemas in each of these groups of keywords only one applies to a given member.
EXCLUSIVE_KEYWORDS = (("properties", "additionalProperties"), ("prefixItems", "items", "additionalItems"))
NON_SCHEMA_KEYWORDS = frozenset(("const", "enum", "default", "examples", "$defs", "definitions"))  # apply no schema by themselves
MAX_STEPS = 10_000  # schemas applied to one value, to one of its members, to one of that one's members and so on
MAX_CHAIN = 64  # schemas that apply each other to the same value


class UnboundedSchema(Exception):
    """The message says why nothing should be validated against a schema."""


class _Node(NamedTuple):
    """The schemas that one schema applies, by id()."""

    in_place: list[int]
    members: dict[str, list[int]]  # by keyword


def schema_cost(schema: Json) -> int:
    """The most schemas that apply to one value and its members, along one path into the value. A schema that contains itself is
    counted once: how often it applies depends on the data. Raises UnboundedSchema, and what `referencing` raises for unresolvable
    references."""
    nodes = _reachable_nodes(schema)
    try:
        order = list(TopologicalSorter({node_id: node.in_place for node_id, node in nodes.items()}).static_order())
    except CycleError:
        raise UnboundedSchema("refers to itself without end") from None
    chain = dict[int, int]()  # length of the longest chain of in-place schemas
    for node_id in order:
        chain[node_id] = 1 + max((chain[inner] for inner in nodes[node_id].in_place), default=0)
    if max(chain.values()) > MAX_CHAIN:
        raise UnboundedSchema(f"goes from reference to reference more than {MAX_CHAIN} times")
    if (steps := _steps(nodes, id(schema))) > MAX_STEPS:
        raise UnboundedSchema(f"makes too much work: {steps} steps for a small value")
    return steps


def _reachable_nodes(schema: Json) -> dict[int, _Node]:
    """All schemas that the root applies, directly or not, by id()."""
    resource = Resource[Schema].from_contents(cast("Schema", schema), default_specification=DRAFT202012)
    resolver = Registry[Schema]().with_resource("", resource).crawl().resolver(resource.id() or "")
    nodes, pending = dict[int, _Node](), [schema]
    while pending:
        current = pending.pop()
        if id(current) in nodes:
            continue
        node = nodes[id(current)] = _Node([], {})
        for key, inner in _subschemas(current):
            (node.in_place if key in IN_PLACE_KEYWORDS else node.members.setdefault(key, [])).append(id(inner))
            pending.append(inner)
        for key in REFERENCE_KEYWORDS:
            if isinstance(reference := current.get(key), str):
                target = resolver.lookup(reference).contents
                if isinstance(target, Mapping):
                    node.in_place.append(id(target))
                    pending.append(target)
    return nodes


def _subschemas(schema: Json) -> Iterator[tuple[str, Json]]:
    """(keyword, subschema)"""
    for key, value in schema.items():
        if key in NON_SCHEMA_KEYWORDS:
            continue
        is_map = key in SCHEMA_MAPS and isinstance(value, Mapping)
        held: list[Any] = list(cast("Json", value).values()) if is_map else cast("list[Any]", value) if isinstance(value, list) else [value]
        yield from ((key, cast("Json", inner)) for inner in held if isinstance(inner, Mapping))


def _steps(nodes: Mapping[int, _Node], root: int) -> int:
    """Depth-first without recursion: a path through all definitions may be long. Nodes on the current path count as 0."""
    steps, open_nodes, stack = dict[int, int](), set[int](), [root]
    while stack:
        node_id = stack[-1]
        node = nodes[node_id]
        if node_id not in steps and node_id not in open_nodes:
            open_nodes.add(node_id)
            stack.extend(inner for inner in _children(node) if inner not in steps and inner not in open_nodes)
            continue
        stack.pop()
        if node_id not in steps:
            steps[node_id] = 1 + sum(steps.get(inner, 0) for inner in node.in_place) + _member_steps(node, steps)
            open_nodes.discard(node_id)
    return steps[root]


def _children(node: _Node) -> Iterator[int]:
    yield from node.in_place
    for inner in node.members.values():
        yield from inner


def _member_steps(node: _Node, steps: Mapping[int, int]) -> int:
    """The most steps for one member: one schema of each group in EXCLUSIVE_KEYWORDS applies to it, and all of the other keywords."""
    exclusive = {key for group in EXCLUSIVE_KEYWORDS for key in group}
    most = sum(
        max((steps.get(inner, 0) for key in group for inner in node.members.get(key, ())), default=0) for group in EXCLUSIVE_KEYWORDS
    )
    return most + sum(steps.get(inner, 0) for key, schemas in node.members.items() if key not in exclusive for inner in schemas)
