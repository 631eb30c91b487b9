"""Takes results past the SDK's validation, which rejects a whole result for one wrong field of one tool or content block: the SDK gets an
envelope that is valid in every protocol revision, and what the server sent is judged piece by piece elsewhere."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, cast

from mcp.types import CallToolResult, ListToolsResult

from server.mcp.trust.json_schema import Json, walk

RAW = "stoa/raw"  # key in _meta of the envelope
MAX_NODES = 12_000  # values of a tool's description: one with more is larger than tool_validation lets through
HEADER = "x-mcp-header"
EMPTY: Json = {}


class Raw(str):
    """What the server sent, as the SDK passes it on without a look: it would copy a large result three times, and refuse a deep one."""

    value: Json

    def __new__(cls, value: Json) -> "Raw":
        made = super().__new__(cls, RAW)
        made.value = value
        return made


def enveloped(method: str | None, result: dict[str, Any]) -> dict[str, Any]:
    """`method`: of the request that is answered. MCP 2026-07-28 defines a result without resultType as complete; the SDK rejects it."""
    kind = result.get("resultType")
    match method:
        case "tools/list":
            return _tool_list(result)
        case "tools/call" if not isinstance(kind, str) or kind == "complete":
            return {"resultType": "complete", "content": [], "_meta": {RAW: Raw(result)}}
        case "initialize":
            return _handshake(result)
        case _:
            return {"resultType": "complete", **result}


def raw_tool_list(page: ListToolsResult) -> Json:
    """As the server sent it, "tools" without those that the SDK dropped for an invalid x-mcp-header (MCP 2026-07-28: clients must)."""
    carried = (page.meta or EMPTY).get(RAW)
    if not isinstance(carried, Raw):  # of a server in this process
        return page.model_dump(by_alias=True, exclude_none=True, mode="json")
    raw = carried.value
    if not isinstance(raw.get("tools"), list):
        return raw
    kept = {tool.name for tool in page.tools}
    tools = [tool for tool in _listed(raw) if not _is_headed(tool) or tool["name"] in kept]
    return {**raw, "tools": tools}


def raw_call_result(result: CallToolResult) -> Json:
    carried = (result.meta or EMPTY).get(RAW)
    if isinstance(carried, Raw):
        return carried.value
    given = {"structuredContent": None} if "structured_content" in result.model_fields_set else EMPTY
    return {**given, **result.model_dump(by_alias=True, exclude_none=True, mode="json")}


def _tool_list(result: dict[str, Any]) -> dict[str, Any]:
    cursor, ttl = result.get("nextCursor"), result.get("ttlMs")
    return {
        "resultType": "complete",
        "tools": [{"name": tool["name"], "inputSchema": _shown(tool)} for tool in _listed(result) if _has_schema(tool)],
        "ttlMs": ttl if isinstance(ttl, int) and not isinstance(ttl, bool) and ttl > 0 else 0,
        "cacheScope": "private",
        "_meta": {RAW: Raw(result)},
        **({"nextCursor": cursor} if isinstance(cursor, str) else {}),
    }


def _listed(result: Json) -> list[Any]:
    tools = result.get("tools")
    return cast("list[Any]", tools) if isinstance(tools, list) else []


def _has_schema(tool: Any) -> bool:
    if not isinstance(tool, Mapping):
        return False
    fields = cast("Json", tool)
    return isinstance(fields.get("name"), str) and isinstance(fields.get("inputSchema"), Mapping)


def _shown(tool: Json) -> Json:
    """What the SDK sees of a tool's schema: all of it only where it is to look for its x-mcp-header."""
    return {**tool["inputSchema"], "type": "object"} if _is_headed(tool) else {"type": "object"}


def _is_headed(tool: Any) -> bool:
    if not _has_schema(tool):
        return False
    nodes = (value for _, value in islice(walk(tool["inputSchema"]), MAX_NODES))
    return any(isinstance(value, Mapping) and HEADER in value for value in nodes)


def _handshake(result: dict[str, Any]) -> dict[str, Any]:
    """Only what is used; fields of a wrong type count as absent."""
    info, capabilities = _object(result.get("serverInfo")), _object(result.get("capabilities"))
    tools = capabilities.get("tools")
    changes = _object(tools).get("listChanged") is True
    return {
        "protocolVersion": str(result.get("protocolVersion")),
        "capabilities": {"tools": {"listChanged": changes}} if isinstance(tools, Mapping) else {},
        "serverInfo": {"name": str(info.get("name", "")), "version": str(info.get("version", ""))},
    }


def _object(value: Any) -> Json:
    return cast("Json", value) if isinstance(value, Mapping) else EMPTY
