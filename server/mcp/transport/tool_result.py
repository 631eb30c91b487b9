"""Converts the result of an MCP tool call, as the server sent it, to a ToolOutcome: text for the model, limited in size. No field is
trusted to have the type that MCP gives it."""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, cast

from server.core.tool_host import ToolFault, ToolOutcome
from server.mcp.sanitize import remove_invisible
from server.mcp.trust.json_schema import Json, walk

MAX_BLOCKS = 10_000  # content blocks that are read
MAX_IMAGES = 8  # of the first so many blocks
IMAGE_BYTES = 4 << 20  # of their base64, at least
MAX_LEAVES = 200  # values of structured content that are looked for in the text


def to_tool_outcome(result: Json, max_bytes: int) -> ToolOutcome:
    """`max_bytes`: of the text, as UTF-8. Structured content that is larger is dropped. Slow for large results."""
    structured = result.get("structuredContent")
    written = "" if structured is None else remove_invisible(json.dumps(structured, ensure_ascii=False))
    full_text = _to_text(result, written)
    text = truncate_middle(full_text, max_bytes)
    fault = ToolFault(kind="execution", message=text or "the tool failed and did not say why") if is_error(result) else None
    return ToolOutcome(
        text=fault.message if fault else text,
        images=tuple(_images(result.get("content"), max_bytes)),
        fault=fault,
        structured=_kept(written, max_bytes),
        truncated=text is not full_text,
    )


def _images(content: Any, max_bytes: int) -> Iterator[bytes]:
    """Files of the first few; `max_bytes`: of all together, as they were sent. Others are only named in the text."""
    left = max(max_bytes, IMAGE_BYTES)
    for block in _blocks(content)[:MAX_IMAGES]:
        match block:
            case {"type": "image", "data": str() as data} if len(data) <= left:
                left -= len(data)
                with suppress(ValueError):
                    yield base64.b64decode(data, validate=True)
            case _:
                pass


def is_error(result: Json) -> bool:
    return result.get("isError") not in (None, False, 0, "", "false", "False")


def _kept(written: str, max_bytes: int) -> Any:
    """Numbers that JSON has not, such as NaN, become texts."""
    return json.loads(written, parse_constant=str) if written and len(written.encode(errors="replace")) <= max_bytes else None


def _to_text(result: Json, written: str) -> str:
    """The content blocks, and the structured content unless they say the same (which a server should make them do). `written`: the
    structured content as JSON."""
    blocks = _blocks(result.get("content"))
    text = "\n".join(filter(None, (remove_invisible(_block_text(block)) for block in blocks[:MAX_BLOCKS])))
    if len(blocks) > MAX_BLOCKS:
        text += f"\n[{len(blocks) - MAX_BLOCKS} more blocks of content: left out]"
    structured = result.get("structuredContent")
    if structured is None or _says(text, structured):
        return text
    return f"{text}\n{written}".lstrip("\n")


def _blocks(content: Any) -> list[Any]:
    if isinstance(content, list):
        return cast("list[Any]", content)
    return [] if content is None else [content]


def _says(text: str, structured: Any) -> bool:
    """Whether the text is the structured content as JSON, or contains every value in it."""
    try:
        if json.loads(text) == structured:
            return True
    except (ValueError, RecursionError):
        pass
    leaves = list(islice((value for _, value in walk(structured) if not isinstance(value, dict | list)), MAX_LEAVES))
    return bool(leaves) and all(_contains(text, value) for value in leaves)


def _contains(text: str, value: Any) -> bool:
    if isinstance(value, str):
        return value.strip() in text or json.dumps(value)[1:-1] in text
    shown = {True: "true", False: "false", None: "null"}.get(value, str(value)) if value is None or isinstance(value, bool) else str(value)
    return re.search(rf"(?<![\w.]){re.escape(shown)}(?![\w]|\.\d)", text, re.IGNORECASE) is not None


def _block_text(block: Any) -> str:
    """A block of another form than MCP gives it is shown as JSON where it may hold text, else named."""
    match block:
        case str():
            return block
        case {"type": "text", "text": text}:
            return text if isinstance(text, str) else _json(text)
        case {"type": "image", "data": str() as data}:
            return f"[image, {block.get('mimeType')}, {len(data) * 3 // 4} bytes]"
        case {"type": "audio", "data": str() as data}:
            return f"[audio, {block.get('mimeType')}, {len(data) * 3 // 4} bytes: cannot be shown]"
        case {"type": "resource_link", "uri": uri}:
            return f"[{', '.join(_link(cast('Json', block), uri))}]"
        case {"type": "resource", "resource": {"text": str() as text}}:
            return text
        case {"type": "resource", "resource": {"uri": uri, **rest}}:
            return f"[{uri}, {rest.get('mimeType') or 'binary'}: cannot be shown]"
        case {"type": str() as kind}:
            return f"[a block of the type {kind[:100]!r}: cannot be shown]"
        case Mapping() | list():
            return _json(cast("Any", block))
        case _:
            return "" if block is None else str(block)


def _link(link: Json, uri: Any) -> Iterator[str]:
    name, size = link.get("title") or link.get("name"), link.get("size")
    yield f"{name}: {uri}" if name else str(uri)
    yield from (str(link[key]) for key in ("description", "mimeType") if link.get(key))
    if isinstance(size, int | float):
        yield f"{size} bytes"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def truncate_middle(text: str, max_bytes: int) -> str:
    """The same object where it fits; else its beginning (two thirds) and end, together `max_bytes` of UTF-8, with a note between."""
    data = text.encode(errors="replace")
    if len(data) <= max_bytes:
        return text
    head, tail = data[: max_bytes * 2 // 3].decode(errors="ignore"), data[-(max_bytes // 3) :].decode(errors="ignore")
    return f"{head}\n[... {len(data) - max_bytes} bytes left out: ask for less at once ...]\n{tail}"
