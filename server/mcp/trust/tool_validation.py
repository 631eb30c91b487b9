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

TOOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # MCP 2026-07-28, server/tools
MAX_TOOLS = 512  # of one server
MAX_TITLE_CHARS = 256
MAX_DESCRIPTION_CHARS = 4096
MAX_SCHEMA_BYTES = 64 * 1024
MAX_SCHEMA_DEPTH = 32
MAX_LIST_BYTES = 2 * 1024 * 1024  # of all tools of one server


class InvalidTool(Exception):
    """The message says why the tool is left out."""


def validate_tools(spec: ServerSpec, described: Sequence[Json], ttl_seconds: float | None) -> ToolList:
    """`described`: the tools as the server sent them, with MCP's field names."""
    tools, digests, left_out, total_size = list[HostedTool](), dict[str, str](), dict[str, str](), 0
    for tool in described[:MAX_TOOLS]:
        name = str(tool.get("name"))
        if spec.tools is not None and name not in spec.tools:
            continue
        try:
            if name in digests:
                raise InvalidTool("there is another of this name")
            total_size += _size(tool)
            if total_size > MAX_LIST_BYTES:
                raise InvalidTool(f"the tools before it and it are larger than {MAX_LIST_BYTES} bytes")
            tools.append(_to_hosted_tool(spec, name, tool))
            digests[name] = tool_digest(tool)
        except InvalidTool as error:
            left_out[name] = str(error)
    notes = [f"the tool {name!r} is left out: {reason}" for name, reason in left_out.items()]
    if len(described) > MAX_TOOLS:
        notes.append(f"only the first {MAX_TOOLS} of its {len(described)} tools are offered")
    notes += [f"toolLimits: no tool {name!r} is offered" for name in spec.tool_limits if name not in digests]
    return ToolList(tools=tuple(tools), digests=digests, left_out=left_out, notes=tuple(notes), ttl_seconds=ttl_seconds)


def _size(tool: Json) -> int:
    try:
        return len(json.dumps(tool))
    except RecursionError:
        raise InvalidTool("what it says is nested deeper than can be read") from None


def tool_digest(described: Json) -> str:
    """Hex SHA-256 of all fields of a tool that a model or a policy sees."""
    fields = {key: described.get(key) for key in ("name", "title", "description", "inputSchema", "outputSchema", "annotations")}
    return hashlib.sha256(json.dumps(fields, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def _to_hosted_tool(spec: ServerSpec, name: str, tool: Json) -> HostedTool:
    if not TOOL_NAME.fullmatch(name):
        raise InvalidTool("its name must be 1 to 128 of A-Z, a-z, 0-9, _, . and -")
    annotations = cast("Json", tool.get("annotations") or {})
    trusted: Json = annotations if spec.trusted else {}
    output_schema = tool.get("outputSchema")
    return HostedTool(
        name=name,
        title=remove_invisible(str(tool.get("title") or annotations.get("title") or name))[:MAX_TITLE_CHARS],
        description=remove_invisible(str(tool.get("description") or ""))[:MAX_DESCRIPTION_CHARS],
        input_schema=_object_schema(validate_schema(tool.get("inputSchema"), "input")),
        output_schema=None if output_schema is None else validate_schema(output_schema, "output"),
        read_only=trusted.get("readOnlyHint") is True,
        destructive=trusted.get("destructiveHint") is not False,
        idempotent=trusted.get("idempotentHint") is True,
        open_world=trusted.get("openWorldHint") is not False,
        annotations=tool.get("annotations"),
        allowed_by_operator=name in spec.allow or "*" in spec.allow,
    )


def _object_schema(schema: Json) -> Json:
    if schema.get("type", "object") != "object":
        raise InvalidTool("its input schema is not that of an object")
    return {"type": "object", **schema}


def validate_schema(schema: Any, which: str) -> Json:
    """The schema itself. `which`: "input" or "output", for the message. Raises InvalidTool unless it is a JSON Schema of limited size,
    depth and cost, without references to other documents."""
    if not isinstance(schema, Mapping):
        raise InvalidTool(f"its {which} schema is not an object")
    for depth, node in walk(cast("Json", schema)):
        if isinstance(node, Mapping):
            _check_node(cast("Json", node), depth, which)
    if len(json.dumps(schema)) > MAX_SCHEMA_BYTES:
        raise InvalidTool(f"its {which} schema is larger than {MAX_SCHEMA_BYTES} bytes")
    _check_dialect_and_cost(cast("Json", schema), which)
    return cast("Json", schema)


def _check_node(node: Json, depth: int, which: str) -> None:
    if depth > MAX_SCHEMA_DEPTH:
        raise InvalidTool(f"its {which} schema is nested deeper than {MAX_SCHEMA_DEPTH}")
    for key in REFERENCE_KEYWORDS:
        if isinstance(target := node.get(key), str) and not target.startswith("#"):
            raise InvalidTool(f"its {which} schema refers to {target[:80]!r}: only references within it are followed")


def _check_dialect_and_cost(schema: Json, which: str) -> None:
    """Validates no instance against it: that might not end."""
    from jsonschema import Draft202012Validator, SchemaError
    from jsonschema.validators import validator_for

    from server.mcp.trust.schema_cost import UnboundedSchema, schema_cost

    try:
        validator_for(schema, default=Draft202012Validator).check_schema(dict(schema))
        schema_cost(schema)
    except SchemaError as error:
        raise InvalidTool(f"its {which} schema is none: {error.message[:200]}") from None
    except UnboundedSchema as error:
        raise InvalidTool(f"its {which} schema {error}") from None
    except Exception as error:  # the libraries raise many types on malformed schemas
        raise InvalidTool(f"its {which} schema is none: {error}"[:200]) from None
