"""What a tool brought, as text that a model reads. Imports `mcp`."""

import json
from typing import Any

from mcp.types import AudioContent, CallToolResult, EmbeddedResource, ImageContent, ResourceLink, TextContent, TextResourceContents

from server.core.tool_host import ToolFault, ToolOutcome
from server.mcp.sanitize import visible

Block = TextContent | ImageContent | AudioContent | ResourceLink | EmbeddedResource


def outcome(result: CallToolResult, most: int) -> ToolOutcome:
    """`most`: bytes of the text."""
    structured, whole = _seen(result.structured_content), _text(result)
    text = shortened(whole, most)
    fault = ToolFault(kind="execution", message=text or "the tool failed and did not say why") if result.is_error else None
    return ToolOutcome(
        text=fault.message if fault else text,
        fault=fault,
        structured=structured if _small(structured, most) else None,
        truncated=text is not whole,
    )


def _text(result: CallToolResult) -> str:
    """The text blocks; where there are none, the structured content (a server should send it as text, too)."""
    shown = "\n".join(filter(None, (visible(_block(block)) for block in result.content)))
    if shown or result.structured_content is None:
        return shown
    return visible(json.dumps(result.structured_content, ensure_ascii=False))


def _seen(structured: Any) -> Any:
    """Without what is not visible, in whichever string."""
    return None if structured is None else json.loads(visible(json.dumps(structured, ensure_ascii=False)))


def _block(block: Block) -> str:
    match block:
        case TextContent():
            return block.text
        case ImageContent() | AudioContent():
            return f"[{block.type}, {block.mime_type}, {len(block.data) * 3 // 4} bytes: cannot be shown]"
        case ResourceLink():
            return f"[{block.name}: {block.uri}]"
        case EmbeddedResource(resource=TextResourceContents() as found):
            return found.text
        case EmbeddedResource():
            return f"[{block.resource.uri}, {block.resource.mime_type or 'binary'}: cannot be shown]"


def shortened(text: str, most: int) -> str:
    """The same text, or its beginning, a note, and its end: `most` bytes of UTF-8 and the note."""
    data = text.encode(errors="replace")
    if len(data) <= most:
        return text
    head, tail = data[: most * 2 // 3].decode(errors="ignore"), data[-(most // 3) :].decode(errors="ignore")
    return f"{head}\n[... {len(data) - most} bytes left out: ask for less at once ...]\n{tail}"


def _small(structured: Any, most: int) -> bool:
    return len(json.dumps(structured, ensure_ascii=False).encode(errors="replace")) <= most
