"""How a chat template wants to be told of tools. Templates differ in what they take, and say so only by what they render."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal

from server.core.messages import Assistant, Tool, ToolCall, ToolResult

TemplateMessage = dict[str, Any]
Render = Callable[[Sequence[TemplateMessage], Sequence[Mapping[str, Any]]], str | None]  # None: refused

TOOL = Tool(
    name="stoa_probe",
    description="stoa_told",
    parameters={"type": "object", "properties": {"stoa_key": {"type": "string", "description": "stoa_word"}}, "required": ["stoa_key"]},
)
CALL = ToolCall(id="call_000000000000000000000000", name=TOOL.name, arguments='{"stoa_key": "stoa_value"}')
SECOND_CALL = ToolCall(id="call_000000000000000000000001", name=TOOL.name, arguments='{"stoa_key": "stoa_other"}')


@dataclass(frozen=True, slots=True)
class ToolTemplate:
    arguments: Literal["object", "text"] = "object"
    empty_content: Literal[""] | None = ""  # content of a message that only calls
    short_ids: bool = False  # nine letters and digits
    single_call: bool = False  # one call in a message

    def tool_entry(self, tool: Tool) -> TemplateMessage:
        """As templates expect it (Hugging Face's convention, which is OpenAI's)."""
        described = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
        return {"type": "function", "function": described}

    def assistant_fields(self, said: Assistant) -> TemplateMessage:
        """What a message has in addition to its words."""
        return (
            {"content": said.text or self.empty_content, "tool_calls": [self._call_entry(call) for call in said.tool_calls]}
            if said.tool_calls
            else {}
        )

    def tool_message(self, result: ToolResult) -> TemplateMessage:
        return {"role": "tool", "name": result.name, "tool_call_id": self._id(result.call_id), "content": result.text}

    def _call_entry(self, call: ToolCall) -> TemplateMessage:
        given = parse_arguments(call.arguments) if self.arguments == "object" else call.arguments
        return {"type": "function", "id": self._id(call.id), "function": {"name": call.name, "arguments": given}}

    def _id(self, id: str) -> str:
        return "".join(filter(str.isalnum, id))[-9:].rjust(9, "0") if self.short_ids else id


def parse_arguments(arguments: str) -> Any:
    """What the text says; the text itself where it says nothing (a call that was cut off)."""
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def probe_tool_template(render: Render) -> ToolTemplate | None:
    """None: the template knows no tools."""
    for silence, arguments, short in product(("", None), ("object", "text"), (False, True)):
        manner = ToolTemplate(arguments, silence, short)
        if _renders_everything(render, manner, (CALL,)):
            return (
                manner
                if _renders_everything(render, manner, (CALL, SECOND_CALL))
                else ToolTemplate(arguments, silence, short, single_call=True)
            )
    return None


def _renders_everything(render: Render, manner: ToolTemplate, calls: tuple[ToolCall, ...]) -> bool:
    """Whether a conversation with these calls is rendered with all there is in it."""
    said = Assistant(tool_calls=calls)
    results = [manner.tool_message(ToolResult(call_id=call.id, name=call.name, text=f"stoa_brought_{i}")) for i, call in enumerate(calls)]
    talk = [{"role": "user", "content": "stoa_asked"}, {"role": "assistant", **manner.assistant_fields(said)}, *results]
    rendered = render(talk, [manner.tool_entry(TOOL)])
    if rendered is None or "'stoa_key'" in rendered or r"\"stoa_key" in rendered:
        return False
    keys = [call.arguments.rpartition(": ")[2].strip('"}') for call in calls]
    brought = [f"stoa_brought_{i}" for i in range(len(calls))]
    return all(word in rendered for word in ("stoa_told", "stoa_word", *keys, *brought))
