"""Converts an MCP tool result to a ToolOutcome: text for the model, limited in size. Imports `mcp`."""

import json
from typing import Any

from mcp.types import AudioContent, CallToolResult, EmbeddedResource, ImageContent, ResourceLink, TextContent, TextResourceContents

from server.core.tool_host import ToolFault, ToolOutcome
from server.mcp.sanitize import remove_invisible

Block = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


def to_tool_outcome(result: CallToolResult, max_bytes: int) -> ToolOutcome:
    """`max_bytes`: of the text, as UTF-8. Structured content that is larger is dropped."""
    structured, full_text = _remove_invisible(result.structured_content), _to_text(result)
    text = truncate_middle(full_text, max_bytes)
    fault = ToolFault(kind="execution", message=text or "the tool failed and did not say why") if result.is_error else None
    return ToolOutcome(
        text=fault.message if fault else text,
        fault=fault,
        structured=structured if _fits(structured, max_bytes) else None,
        truncated=text is not full_text,
    )


def _to_text(result: CallToolResult) -> str:
    """The content blocks; where there are none, the structured content (which a server should send as text, too)."""
    text = "\n".join(filter(None, (remove_invisible(_block_text(block)) for block in result.content)))
    if text or result.structured_content is None:
        return text
    return remove_invisible(json.dumps(result.structured_content, ensure_ascii=False))


def _remove_invisible(structured: Any) -> Any:
    """From all strings in it."""
    return None if structured is None else json.loads(remove_invisible(json.dumps(structured, ensure_ascii=False)))


def _block_text(block: Block) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type}, {block.mime_type}, {len(block.data) * 3 // 4} bytes: cannot be shown]"
        case ResourceLink():
            return f"[{block.name}: {block.uri}]"
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text
        case EmbeddedResource():
            return f"[{block.resource.uri}, {block.resource.mime_type or 'binary'}: cannot be shown]"


def truncate_middle(text: str, max_bytes: int) -> str:
    """The same object where it fits; else its beginning (two thirds) and end, together `max_bytes` of UTF-8, with a note between."""
    data = text.encode(errors="replace")
    if len(data) <= max_bytes:
        return text
    head, tail = data[: max_bytes * 2 // 3].decode(errors="ignore"), data[-(max_bytes // 3) :].decode(errors="ignore")
    return f"{head}\n[... {len(data) - max_bytes} bytes left out: ask for less at once ...]\n{tail}"


def _fits(structured: Any, max_bytes: int) -> bool:
    return len(json.dumps(structured, ensure_ascii=False).encode(errors="replace")) <= max_bytes
