"""Items as they are kept: those that a client sends, in the shape in which they are shown (server/api/responses/types/output.py)."""

import base64
from collections.abc import Callable, Sequence
from typing import Any

from server.api.responses.types import items as wire
from server.api.responses.types.content import InputText, Refusal, SaidText
from server.core.messages import Json

SEALED = "stoa1."  # in front of thoughts in encrypted_content

NewId = Callable[[str], str]  # of an item, by its type


def kept(item: wire.InputItem, new_id: NewId, taken: set[str]) -> Json:
    """`taken`: ids that the item must not have; its own is added. Not of a reference."""
    assert not isinstance(item, wire.ItemReference)
    kind, given = item.type, item.id
    id = given if given is not None and given not in taken else new_id(kind)
    taken.add(id)
    return {"id": id, "type": kind, **_fields(item)}


def user_message(text: str) -> wire.Message:
    return wire.Message(role="user", content=text)


def seal(thought: str) -> str:
    return SEALED + base64.urlsafe_b64encode(thought.encode()).decode()


def unseal(sealed: str) -> str:
    """ "": it is not from here."""
    try:
        return base64.urlsafe_b64decode(sealed.removeprefix(SEALED)).decode() if sealed.startswith(SEALED) else ""
    except ValueError:
        return ""


def _fields(item: wire.InputItem) -> Json:
    match item:
        case wire.Message():
            return {"role": item.role, "status": "completed", "content": _input_parts(item.content)}
        case wire.AssistantMessage():
            return {"role": "assistant", "status": item.status or "completed", "content": _said_parts(item.content)}
        case wire.Reasoning():
            return _reasoning(item)
        case wire.FunctionCall():
            return {**_dumped(item, "call_id", "name", "arguments"), "status": item.status or "completed"}
        case wire.FunctionCallOutput():
            output = item.output if isinstance(item.output, str) else _input_parts(item.output)
            named = {} if item.name is None else {"name": item.name}
            return {"call_id": item.call_id, "output": output, "status": item.status or "completed", **named}
        case wire.FileSearchCall():
            return {**_dumped(item, "queries", "results"), "status": item.status or "completed"}
        case wire.McpListTools():
            return _dumped(item, "server_label", "tools", "error")
        case wire.McpCall():
            fields = ("server_label", "name", "arguments", "output", "error", "approval_request_id")
            return {**_dumped(item, *fields), "status": item.status or ("failed" if item.error else "completed")}
        case wire.McpApprovalRequest():
            return _dumped(item, "server_label", "name", "arguments")
        case wire.McpApprovalResponse():
            named = {"request_id": item.request_id or item.approval_request_id}
            return {**_dumped(item, "approval_request_id", "approve", "reason"), **named}
        case wire.ItemReference():
            raise AssertionError("references are followed before")


def _dumped(item: Any, *names: str) -> Json:
    return item.model_dump(include=set(names))


def _reasoning(item: wire.Reasoning) -> Json:
    thought = thought_of(item.model_dump())
    return {
        "summary": [part.model_dump() for part in item.summary],
        "content": [{"type": "reasoning_text", "text": thought}] if thought else [],
        "encrypted_content": item.encrypted_content,
        "status": item.status or "completed",
    }


def thought_of(reasoning: Json) -> str:
    """What the model thought; else, what somebody has made of it."""
    said = "".join(part["text"] for part in reasoning.get("content") or ())
    return said or unseal(reasoning.get("encrypted_content") or "") or "\n".join(part["text"] for part in reasoning.get("summary") or ())


def _input_parts(content: str | Sequence[InputText]) -> list[Json]:
    texts = [content] if isinstance(content, str) else [part.text for part in content]
    return [{"type": "input_text", "text": text} for text in texts]


def _said_parts(content: str | Sequence[InputText | SaidText | Refusal]) -> list[Json]:
    if isinstance(content, str):
        return [_output_text(content)]
    return [_said_part(part) for part in content]


def _said_part(part: InputText | SaidText | Refusal) -> Json:
    match part:
        case Refusal():
            return part.model_dump()
        case SaidText():
            return {**_output_text(part.text), **part.model_dump(include={"annotations", "logprobs"}, exclude_none=True)}
        case InputText():
            return _output_text(part.text)


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
