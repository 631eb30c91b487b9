"""How a chat template takes the thoughts of earlier answers. Whether it shows them is its own choice: most drop those before the last
question."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TemplateMessage = dict[str, Any]
Render = Callable[[Sequence[Mapping[str, Any]]], str | None]  # None: refused

ASKED, THOUGHT, TOLD = "stoa_asked", "stoa_thought", "stoa_told"
FIELDS = ("reasoning_content", "reasoning", "thinking")


@dataclass(frozen=True, slots=True)
class ThoughtField:
    """A field of the message."""

    name: str = "reasoning_content"

    def add(self, message: TemplateMessage, thoughts: str) -> TemplateMessage:
        return {**message, self.name: thoughts}


@dataclass(frozen=True, slots=True)
class ThoughtPart:
    """A part of the content, before the text (Mistral)."""

    def add(self, message: TemplateMessage, thoughts: str) -> TemplateMessage:
        text = [{"type": "text", "text": message["content"]}] if message.get("content") else []
        return {**message, "content": [{"type": "thinking", "thinking": thoughts}, *text]}


ThoughtForm = ThoughtField | ThoughtPart


def probe_thought_form(render: Render) -> ThoughtForm:
    """The first form that the template shows, in an answer or a call that is the last message."""
    forms = (*map(ThoughtField, FIELDS), ThoughtPart())
    return next((form for form in forms if _shows(render, form)), forms[0])


def _shows(render: Render, form: ThoughtForm) -> bool:
    call: TemplateMessage = {"type": "function", "id": "call00000", "function": {"name": "stoa_probe", "arguments": {}}}
    answer = {"role": "assistant", "content": TOLD}
    calling: TemplateMessage = {"role": "assistant", "content": "", "tool_calls": [call]}
    result = {"role": "tool", "name": "stoa_probe", "tool_call_id": "call00000", "content": TOLD}
    talks = ([form.add(answer, THOUGHT)], [form.add(calling, THOUGHT), result])
    rendered = (render([{"role": "user", "content": ASKED}, *talk]) for talk in talks)
    return any(prompt is not None and THOUGHT in prompt and f"'{THOUGHT}'" not in prompt for prompt in rendered)
