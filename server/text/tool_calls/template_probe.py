"""Finds out how a chat template takes tools, by rendering a sample conversation: templates differ in the message format they accept."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, cast

from server.core.messages import Assistant, Tool, ToolCall, ToolResult

TemplateMessage = dict[str, Any]
Render = Callable[[Sequence[TemplateMessage], Sequence[Mapping[str, Any]]], str | None]  # messages, tools -> prompt; None: refused

TOOL = Tool(
    name="stoa_probe",
    description="stoa_told",
    parameters={"type": "object", "properties": {"stoa_key": {"type": "string", "description": "stoa_word"}}, "required": ["stoa_key"]},
)
CALL = ToolCall(id="call_000000000000000000000000", name=TOOL.name, arguments='{"stoa_key": "stoa_value"}')
SECOND_CALL = ToolCall(id="call_000000000000000000000001", name=TOOL.name, arguments='{"stoa_key": "stoa_other"}')
SHORT_CALL = ToolCall(id="a1", name=TOOL.name, arguments=CALL.arguments)
SHORT_ID = re.compile("[A-Za-z0-9]{9}")
UNREADABLE = "arguments"  # key of arguments that are no object, in templates that want one


@dataclass(frozen=True, slots=True)
class ToolTemplate:
    """The format in which a chat template takes tools, calls and results."""

    arguments: Literal["object", "text"] = "object"
    empty_content: Literal[""] | None = ""  # content of a message that has only calls
    short_ids: bool = False  # nine letters and digits
    single_call: bool = False  # one call per message

    def tool_entry(self, tool: Tool) -> TemplateMessage:
        """An entry of the template's `tools` (Hugging Face's convention, which is OpenAI's)."""
        function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        return {"type": "function", "function": function}

    def assistant_fields(self, message: Assistant) -> TemplateMessage:
        """The fields of an assistant message that its calls add or change; {} without calls."""
        if not message.tool_calls:
            return {}
        return {"content": message.text or self.empty_content, "tool_calls": [self._call_entry(call) for call in message.tool_calls]}

    def tool_message(self, result: ToolResult) -> TemplateMessage:
        return {"role": "tool", "name": result.name, "tool_call_id": self._id(result.call_id), "content": result.text}

    def _call_entry(self, call: ToolCall) -> TemplateMessage:
        found = read_arguments(call.arguments)
        as_object = {UNREADABLE: call.arguments} if found is None else found
        arguments = as_object if self.arguments == "object" else "{}" if found == {} else call.arguments
        return {"type": "function", "id": self._id(call.id), "function": {"name": call.name, "arguments": arguments}}

    def _id(self, id: str) -> str:
        return short_id(id) if self.short_ids else id


def short_id(id: str) -> str:
    """Nine letters and digits, which Mistral's templates ask for: the id itself if it is that, else others that depend on it."""
    return id if SHORT_ID.fullmatch(id) else hashlib.sha256(id.encode(errors="replace")).hexdigest()[:9]


def read_arguments(arguments: str) -> dict[str, Any] | None:
    """The object that the text stands for; {} for an empty text and for null. None for anything else: models write such calls, or
    are cut off within one."""
    try:
        value: Any = json.loads(arguments) if arguments.strip() else None
    except (ValueError, RecursionError):
        return None
    return {} if value is None else cast(dict[str, Any], value) if isinstance(value, dict) else None


def probe_tool_template(render: Render) -> ToolTemplate | None:
    """The first format with which everything is rendered; None: the template does not support tools."""
    for empty_content, arguments, short_ids in product(("", None), ("object", "text"), (False, True)):
        tool_template = ToolTemplate(arguments, empty_content, short_ids)
        if _renders_everything(render, tool_template, (CALL,)) and _renders_everything(render, tool_template, (SHORT_CALL,)):
            single_call = not _renders_everything(render, tool_template, (CALL, SECOND_CALL))
            return ToolTemplate(arguments, empty_content, short_ids, single_call)
    return None


def _renders_everything(render: Render, tool_template: ToolTemplate, calls: tuple[ToolCall, ...]) -> bool:
    """Whether the tool, these calls in one message and their results all appear in the prompt."""
    texts = [f"stoa_brought_{i}" for i in range(len(calls))]
    results = [ToolResult(call_id=call.id, name=call.name, text=text) for call, text in zip(calls, texts, strict=True)]
    messages = [
        {"role": "user", "content": "stoa_asked"},
        {"role": "assistant", **tool_template.assistant_fields(Assistant(tool_calls=calls))},
        *map(tool_template.tool_message, results),
    ]
    rendered = render(messages, [tool_template.tool_entry(TOOL)])
    if rendered is None or "'stoa_key'" in rendered or r"\"stoa_key" in rendered:  # as Python's repr, or as JSON encoded twice
        return False
    values = [call.arguments.rpartition(": ")[2].strip('"}') for call in calls]
    return all(word in rendered for word in ("stoa_told", "stoa_word", *values, *texts))
