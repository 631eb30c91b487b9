"""Results of server tools, as the output items show them: search results, listed tools, errors of MCP calls."""

from retrieval.api import Hit
from server.api.common.search.citations import source_url
from server.api.common.search.filters import clamped_score
from server.core.messages import Json
from server.core.tool_host import HostedTool, ToolFault

CONNECTION_CLOSED, REQUEST_TIMEOUT, INTERNAL_ERROR = -32000, -32001, -32603  # JSON-RPC error codes, as MCP uses them
BAD_GATEWAY = 502


def to_search_result(hit: Hit) -> Json:
    chunk = hit.chunk
    return {
        "file_id": chunk.file_id,
        "filename": chunk.filename,
        "score": clamped_score(hit),
        "text": chunk.text,
        "attributes": dict(hit.attributes),
        "chunk_id": chunk.id,
        "vector_store_id": chunk.store_id,
        "page": chunk.page,
        "headings": list(chunk.headings),
        "start": chunk.start,
        "end": chunk.end,
        "start_seconds": chunk.start_seconds,
        "end_seconds": chunk.end_seconds,
        "picture": chunk.picture,
        "url": source_url(chunk),
    }


def to_listed_tool(tool: HostedTool) -> Json:
    annotations = None if tool.annotations is None else dict(tool.annotations)
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.input_schema), "annotations": annotations}


def to_mcp_error(fault: ToolFault) -> Json:
    match fault.kind:
        case "execution":
            return {"type": "mcp_tool_execution_error", "content": [{"type": "text", "text": fault.message}]}
        case "http":
            return {"type": "http_error", "code": fault.code or BAD_GATEWAY, "message": fault.message}
        case kind:
            code = {"timeout": REQUEST_TIMEOUT, "unavailable": CONNECTION_CLOSED, "protocol": INTERNAL_ERROR}[kind]
            return {"type": "mcp_protocol_error", "code": fault.code or code, "message": fault.message}
