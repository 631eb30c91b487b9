"""What a server says of its tools, looked through before anybody acts on it. A tool that does not pass is left out."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from server.core.tool_host import HostedTool
from server.mcp.config.config import ServerSpec
from server.mcp.sanitize import visible
from server.mcp.session import ToolList

Json = Mapping[str, Any]

NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # MCP 2026-07-28, server/tools
TOOLS = 512  # of one server
DESCRIPTION = 4096  # characters
SCHEMA_BYTES = 64 * 1024
SCHEMA_DEPTH = 32
LIST_BYTES = 2 * 1024 * 1024  # of all tools of one server
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
NAMED = frozenset({"properties", "$defs", "definitions", "dependentSchemas"})  # hold schemas by names of the server's choice
UNBOUNDED = ("pattern", "unevaluatedProperties", "unevaluatedItems", "$schema")
DATA = frozenset({"const", "enum", "default", "examples"})  # hold no schemas


class Unfit(Exception):
    """Why a tool is left out."""


def catalogue(spec: ServerSpec, described: Sequence[Json], seconds: float | None) -> ToolList:
    """`described`: the tools as the server sent them (MCP's names)."""
    tools, digests, left_out, size = list[HostedTool](), dict[str, str](), dict[str, str](), 0
    for tool in described[:TOOLS]:
        name = str(tool.get("name"))
        if spec.tools is not None and name not in spec.tools:
            continue
        try:
            if name in digests:
                raise Unfit("there is another of this name")
            size += _size(tool)
            if size > LIST_BYTES:
                raise Unfit(f"the tools before it and it are larger than {LIST_BYTES} bytes")
            tools.append(_hosted(spec, name, tool))
            digests[name] = digest(tool)
        except Unfit as reason:
            left_out[name] = str(reason)
    notes = [f"the tool {name!r} is left out: {why}" for name, why in left_out.items()]
    if len(described) > TOOLS:
        notes.append(f"only the first {TOOLS} of its {len(described)} tools are offered")
    notes += [f"toolLimits: no tool {name!r} is offered" for name in spec.tool_limits if name not in digests]
    return ToolList(tools=tuple(tools), digests=digests, left_out=left_out, notes=tuple(notes), seconds=seconds)


def _size(tool: Json) -> int:
    try:
        return len(json.dumps(tool))
    except RecursionError:
        raise Unfit("what it says is nested deeper than can be read") from None


def digest(described: Json) -> str:
    """Hex SHA-256 of all that a model or a policy gets to see of a tool."""
    seen = {key: described.get(key) for key in ("name", "title", "description", "inputSchema", "outputSchema", "annotations")}
    return hashlib.sha256(json.dumps(seen, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _hosted(spec: ServerSpec, name: str, tool: Json) -> HostedTool:
    if not NAME.fullmatch(name):
        raise Unfit("its name must be 1 to 128 of A-Z, a-z, 0-9, _, . and -")
    said = cast("Json", tool.get("annotations") or {})
    believed: Json = said if spec.trusted else {}
    output = tool.get("outputSchema")
    return HostedTool(
        name=name,
        title=visible(str(tool.get("title") or said.get("title") or name))[:256],
        description=visible(str(tool.get("description") or ""))[:DESCRIPTION],
        input_schema=_object(checked(tool.get("inputSchema"), "input")),
        output_schema=None if output is None else checked(output, "output"),
        read_only=believed.get("readOnlyHint") is True,
        destructive=believed.get("destructiveHint") is not False,
        idempotent=believed.get("idempotentHint") is True,
        open_world=believed.get("openWorldHint") is not False,
        annotations=tool.get("annotations"),
        allowed=name in spec.allow or "*" in spec.allow,
    )


def _object(schema: Json) -> Json:
    if schema.get("type", "object") != "object":
        raise Unfit("its input schema is not that of an object")
    return {"type": "object", **schema}


def checked(schema: Any, which: str) -> Json:
    """Raises Unfit unless this is a JSON Schema that can be used without asking anybody else, and in little time."""
    if not isinstance(schema, Mapping):
        raise Unfit(f"its {which} schema is not an object")
    known = cast("Json", schema)
    for depth, node in _nodes(known):
        if depth > SCHEMA_DEPTH:
            raise Unfit(f"its {which} schema is nested deeper than {SCHEMA_DEPTH}")
        for key in REFERENCES:
            if isinstance(aim := node.get(key), str) and not aim.startswith("#"):
                raise Unfit(f"its {which} schema refers to {aim[:80]!r}: only references within it are followed")
    if len(json.dumps(known)) > SCHEMA_BYTES:
        raise Unfit(f"its {which} schema is larger than {SCHEMA_BYTES} bytes")
    _valid(known, which)
    return known


def _nodes(root: Json) -> Iterator[tuple[int, Json]]:
    """All objects, with their depth, and without recursion: how deep it goes is what is in question."""
    waiting: list[tuple[int, Any]] = [(0, root)]
    while waiting:
        depth, node = waiting.pop()
        if isinstance(node, Mapping):
            yield depth, cast("Json", node)
            waiting.extend((depth + 1, value) for value in cast("Json", node).values())
        elif isinstance(node, list):
            waiting.extend((depth + 1, value) for value in cast("list[Any]", node))


def _valid(schema: Json, which: str) -> None:
    """Never tried on any value: that may take for ever."""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    from server.mcp.trust.schema_cost import UnboundedSchema, measure

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
        measure(schema)
    except SchemaError as error:
        raise Unfit(f"its {which} schema is none: {error.message[:200]}") from None
    except UnboundedSchema as error:
        raise Unfit(f"its {which} schema {error}") from None
    except Exception as error:  # of libraries that expect no such nonsense
        raise Unfit(f"its {which} schema is none: {error}"[:200]) from None


def defuse(schema: Any) -> None:
    """Takes out of a schema, in place, what may take for ever and nobody needs of a result: regular expressions, what looks at
    all that other keywords have left over, and changes of the dialect on the way. What only they would have allowed is allowed."""
    waiting: list[Any] = [schema]
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(cast("list[Any]", node))
        elif isinstance(node, dict):
            found = cast("dict[str, Any]", node)
            for key in UNBOUNDED:
                found.pop(key, None)
            if found.pop("patternProperties", None) is not None:
                found.pop("additionalProperties", None)
            for key, value in found.items():
                if key in NAMED and isinstance(value, dict):
                    waiting.extend(cast("dict[str, Any]", value).values())
                elif key not in DATA:
                    waiting.append(value)
