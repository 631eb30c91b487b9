"""Whether a chat template takes the content of messages as text or as a list of parts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TemplateMessage = Mapping[str, Any]
Render = Callable[[Sequence[TemplateMessage]], str | None]  # None: refused

WORDS = {"system": "stoasystem", "user": "stoauser", "assistant": "stoaassistant"}


@dataclass(frozen=True, slots=True)
class ContentForm:
    """`parts`: the roles whose content is a list of parts."""

    parts: frozenset[str] = frozenset()

    def apply(self, message: TemplateMessage) -> TemplateMessage:
        content = message.get("content")
        if message["role"] not in self.parts or not isinstance(content, str):
            return message
        return {**message, "content": [{"type": "text", "text": content}] if content else []}


def probe_content_form(render: Render) -> ContentForm:
    """For each role text, unless only a list is shown."""
    form = ContentForm()
    for role, roles in (("user", ("user",)), ("system", ("system", "user")), ("assistant", ("user", "assistant", "user"))):
        as_parts = ContentForm(form.parts | {role})
        if not _shows(render, form, role, roles) and _shows(render, as_parts, role, roles):
            form = as_parts
    return form


def _shows(render: Render, form: ContentForm, role: str, roles: Sequence[str]) -> bool:
    prompt = render([form.apply({"role": one, "content": WORDS[one]}) for one in roles])
    return prompt is not None and WORDS[role] in prompt and f"'text': '{WORDS[role]}'" not in prompt
