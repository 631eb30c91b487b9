"""Validates the tools that an MCP server describes, before a model or a policy sees them. Invalid tools are left out."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

from server.core.tool_host import HostedTool
from server.mcp.config.server_spec import ServerSpec
from server.mcp.sanitize import remove_invisible
from server.mcp.session import ToolList
from server.mcp.trust.json_schema import REFERENCE_KEYWORDS, Json, walk
from server.mcp.trust.schema_repair import repair_schema

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # MCP 2026-07-28, server/tools
MAX_TOOLS = 512  # of one server
MAX_TITLE_CHARS = 256
MAX_DESCRIPTION_CHARS = 4096
MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_DROPPED = 5  # parts of a tool's schemas that are named in notes
ANNOTATIONS: Mapping[str, type] = {
    "title": str,
    "readOnlyHint": bool,
    "destructiveHint": bool,
    "idempotentHint": bool,
    "openWorldHint": bool,
}
MAX_LIST_BYTES = 2 * 1024 * 1024  # of all tools of one server


class InvalidTool(Exception):
    """The message says why the tool is left out."""


def validate_tools(spec: ServerSpec, described: Sequence[Any], ttl_seconds: float | None) -> ToolList:
    """`described`: the tools as the server sent them, with MCP's field names; each is judged by itself, whatever the types of its
    fields."""
    tools, digests, left_out, notes, total_size = list[HostedTool](), dict[str, str](), dict[str, str](), list[str](), 0
    for tool in described[:MAX_TOOLS]:
        name = _name(tool)
        if (spec.tools is not None and name not in spec.tools) or name in spec.exclude:
            continue
        try:
            if name in digests:
                raise InvalidTool("there is another of this name")
            total_size += _size(tool)
            if total_size > MAX_LIST_BYTES:
                raise InvalidTool(f"the tools before it and it are larger than {MAX_LIST_BYTES} bytes")
            hosted, dropped = _to_hosted_tool(spec, name, tool)
            tools.append(hosted)
            digests[name] = tool_digest(tool)
            notes += [
                f"the tool {name!r} is offered without a part of its schema that is not valid: {path}" for path in dropped[:MAX_DROPPED]
            ]
        except InvalidTool as error:
            left_out[name] = str(error)
    notes = [f"the tool {name!r} is left out: {reason}" for name, reason in left_out.items()] + notes
    if len(described) > MAX_TOOLS:
        notes.append(f"only the first {MAX_TOOLS} of its {len(described)} tools are offered")
    notes += [f"toolLimits: no tool {name!r} is offered" for name in spec.tool_limits if name not in digests]
    return ToolList(tools=tuple(tools), digests=digests, left_out=left_out, notes=tuple(notes), ttl_seconds=ttl_seconds)


def _name(tool: Any) -> str:
    return str(cast("Json", tool).get("name"))[:MAX_TITLE_CHARS] if isinstance(tool, Mapping) else "(no object)"


def _size(tool: Any) -> int:
    try:
        return len(json.dumps(tool))
    except RecursionError:
        raise InvalidTool("what it says is nested deeper than can be read") from None


def tool_digest(described: Json) -> str:
    """Hex SHA-256 of all fields of a tool that a model or a policy sees."""
    fields = {key: described.get(key) for key in ("name", "title", "description", "inputSchema", "outputSchema")}
    fields["annotations"] = _annotations(described)
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _to_hosted_tool(spec: ServerSpec, name: str, tool: Any) -> tuple[HostedTool, tuple[str, ...]]:
    """The tool, and the paths of what was dropped from its schemas. Raises InvalidTool."""
    if not isinstance(tool, Mapping):
        raise InvalidTool("it is no object")
    fields = cast("Json", tool)
    if not isinstance(fields.get("name"), str) or not TOOL_NAME.fullmatch(name):
        raise InvalidTool("its name must be 1 to 128 of A-Z, a-z, 0-9, _, . and -")
    if _object(fields.get("execution")).get("taskSupport") == "required":
        raise InvalidTool("it runs as a task only, which this program does not support")
    annotations = _annotations(fields) or {}
    trusted: Json = annotations if spec.trusted else {}
    input_schema, dropped = validate_schema(fields.get("inputSchema"), "input")
    output_schema, dropped_output = _output_schema(fields.get("outputSchema"))
    hosted = HostedTool(
        name=name,
        title=_text(fields.get("title") or annotations.get("title") or name)[:MAX_TITLE_CHARS],
        description=_text(fields.get("description"))[:MAX_DESCRIPTION_CHARS],
        input_schema=_object_schema(input_schema),
        output_schema=output_schema,
        read_only=trusted.get("readOnlyHint") is True,
        destructive=trusted.get("destructiveHint") is not False,
        idempotent=trusted.get("idempotentHint") is True,
        open_world=trusted.get("openWorldHint") is not False,
        annotations=_annotations(fields),
        allowed_by_operator=name in spec.allow or "*" in spec.allow,
    )
    return hosted, (*dropped, *dropped_output)


def _annotations(described: Json) -> Json | None:
    """Those of the types that MCP gives them: a hint that is no boolean says nothing."""
    given = described.get("annotations")
    if not isinstance(given, Mapping):
        return None
    return {key: value for key, value in cast("Json", given).items() if isinstance(value, ANNOTATIONS.get(key, ()))}


def _object(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return remove_invisible(value) if isinstance(value, str) else ""


def _output_schema(schema: Any) -> tuple[Json | None, tuple[str, ...]]:
    return (None, ()) if schema is None else validate_schema(schema, "output")


def _object_schema(schema: Json) -> Json:
    if schema.get("type", "object") != "object":
        raise InvalidTool("its input schema is not that of an object")
    return {"type": "object", **schema}


def validate_schema(schema: Any, which: str) -> tuple[Json, tuple[str, ...]]:
    """The schema, and the paths of what had to be dropped from it to make it valid. `which`: "input" or "output", for the message.
    Raises InvalidTool unless it is a JSON Schema of limited size, depth and cost, without references to other documents."""
    if not isinstance(schema, Mapping):
        raise InvalidTool(f"its {which} schema is not an object")
    for depth, node in walk(cast("Json", schema)):
        if isinstance(node, Mapping):
            _check_node(cast("Json", node), depth, which)
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise InvalidTool(f"its {which} schema is larger than {MAX_SCHEMA_BYTES} bytes")
    return _repaired(cast("Json", schema), which)


def _check_node(node: Json, depth: int, which: str) -> None:
    if depth > MAX_SCHEMA_DEPTH:
        raise InvalidTool(f"its {which} schema is nested deeper than {MAX_SCHEMA_DEPTH}")
    for key in REFERENCE_KEYWORDS:
        if isinstance(target := node.get(key), str) and not target.startswith("#"):
            raise InvalidTool(f"its {which} schema refers to {target[:80]!r}: only references within it are followed")


def _repaired(schema: Json, which: str) -> tuple[Json, tuple[str, ...]]:
    """Validates no instance against it: that might not end."""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    from server.mcp.trust.schema_cost import UnboundedSchema, schema_cost

    repaired, dropped = repair_schema(schema)
    try:
        validator_for(repaired, default=Draft202012Validator).check_schema(dict(repaired))
        schema_cost(repaired)
    except SchemaError as error:
        raise InvalidTool(f"its {which} schema is none: {error.message[:200]}") from None
    except UnboundedSchema as error:
        raise InvalidTool(f"its {which} schema {error}") from None
    except Exception as error:  # the libraries raise many types on malformed schemas
        raise InvalidTool(f"its {which} schema is none: {error}"[:200]) from None
    return repaired, dropped
