"""Normalizes the items that a client sends to the form in which they are stored and sent back (types/output_items.py)."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from server.api.responses.types import input_items as wire
from server.api.responses.types.content import InputImage, InputText, OutputTextInput, Refusal
from server.core.messages import Json

REASONING_PREFIX = "stoa1."  # marks an encrypted_content that this server has made

NewId = Callable[[str], str]  # makes an id for an item of the given type


def normalize_item(item: wire.InputItem, new_id: NewId, taken_ids: set[str]) -> Json:
    """The item keeps its id unless it is in `taken_ids`; the id that it gets is added there. Item references must have been
    resolved before."""
    assert not isinstance(item, wire.ItemReference)
    id = item.id if item.id is not None and item.id not in taken_ids else new_id(item.type)
    taken_ids.add(id)
    return {"id": id, "type": item.type, **_fields(item)}


def user_message(text: str) -> wire.Message:
    return wire.Message(role="user", content=text)


def encode_reasoning(text: str) -> str:
    """An `encrypted_content`. It is only encoded: clients may read the reasoning anyway."""
    return REASONING_PREFIX + base64.urlsafe_b64encode(text.encode()).decode()


def decode_reasoning(encrypted_content: str) -> str:
    """Returns "" for what another server has made."""
    if not encrypted_content.startswith(REASONING_PREFIX):
        return ""
    try:
        return base64.urlsafe_b64decode(encrypted_content.removeprefix(REASONING_PREFIX)).decode()
    except ValueError:
        return ""


def reasoning_text(reasoning: Json) -> str:
    """The text of a reasoning item: its content, else its encrypted content, else its summary."""
    content = "".join(part["text"] for part in reasoning.get("content") or ())
    return content or decode_reasoning(reasoning.get("encrypted_content") or "") or _summary_text(reasoning)


def _summary_text(reasoning: Json) -> str:
    return "\n".join(part["text"] for part in reasoning.get("summary") or ())


def _fields(item: wire.InputItem) -> Json:
    match item:
        case wire.Message():
            return {"role": item.role, "status": "completed", "content": _input_parts(item.content)}
        case wire.AssistantMessage():
            return {"role": "assistant", "status": item.status or "completed", "content": _output_parts(item.content)}
        case wire.Reasoning():
            return _reasoning(item)
        case wire.FunctionCall():
            return {**_dump(item, "call_id", "name", "arguments"), **_namespace(item), "status": item.status or "completed"}
        case wire.CustomToolCall():
            return {**_dump(item, "call_id", "name", "input"), **_namespace(item), "status": item.status or "completed"}
        case wire.FunctionCallOutput() | wire.CustomToolCallOutput():
            output = item.output if isinstance(item.output, str) else _input_parts(item.output)
            name = {} if item.name is None else {"name": item.name}
            return {"call_id": item.call_id, "output": output, "status": item.status or "completed", **name}
        case wire.FileSearchCall():
            return {**_dump(item, "queries", "results"), "status": item.status or "completed"}
        case wire.McpListTools():
            return _dump(item, "server_label", "tools", "error")
        case wire.McpCall():
            fields = ("server_label", "name", "arguments", "output", "error", "approval_request_id")
            return {**_dump(item, *fields), "status": item.status or ("failed" if item.error else "completed")}
        case wire.McpApprovalRequest():
            return _dump(item, "server_label", "name", "arguments")
        case wire.McpApprovalResponse():
            request_id = {"request_id": item.request_id or item.approval_request_id}
            return {**_dump(item, "approval_request_id", "approve", "reason"), **request_id}
        case wire.Compaction():
            return _dump(item, "encrypted_content")
        case wire.ItemReference():
            raise AssertionError("references are resolved before")


def _namespace(item: wire.FunctionCall | wire.CustomToolCall) -> Json:
    return {} if item.namespace is None else {"namespace": item.namespace}


def _dump(item: Any, *names: str) -> Json:
    return item.model_dump(include=set(names))


def _reasoning(item: wire.Reasoning) -> Json:
    text = reasoning_text(item.model_dump())
    return {
        "summary": [part.model_dump() for part in item.summary],
        "content": [{"type": "reasoning_text", "text": text}] if text else [],
        "encrypted_content": item.encrypted_content,
        "status": item.status or "completed",
    }


def _input_parts(content: str | Sequence[InputText | InputImage]) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_input_image(part) if isinstance(part, InputImage) else {"type": "input_text", "text": part.text} for part in content]


def _input_image(part: InputImage) -> Json:
    return {**_dump(part, "type", "image_url", "file_id"), "detail": part.detail or "auto"}


def _output_parts(content: str | Sequence[InputText | OutputTextInput | Refusal]) -> list[Json]:
    if isinstance(content, str):
        return [_output_text(content)]
    return [_output_part(part) for part in content]


def _output_part(part: InputText | OutputTextInput | Refusal) -> Json:
    match part:
        case Refusal():
            return part.model_dump()
        case OutputTextInput():
            return {**_output_text(part.text), **part.model_dump(include={"annotations", "logprobs"}, exclude_none=True)}
        case InputText():
            return _output_text(part.text)


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
