"""Renders a conversation with a checkpoint's chat template: messages and tools in, prompt out."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from server.core.errors import bad_request
from server.core.messages import Assistant, Message, System, Tool, ToolResult, User
from server.text.adapt_messages import merge_turns, result_delimiters, split_parallel_calls, with_tools_as_text
from server.text.control_tokens import NoUnusedCharacter
from server.text.reasoning import ReasoningSplit, split_reasoning
from server.text.template import TemplateMessage, TemplateRefused
from server.text.tokenizer import ChatTokenizer, NoChatTemplate, Prompt
from server.text.tool_calls.template_probe import ToolTemplate


def render(
    tokenizer: ChatTokenizer,
    messages: Sequence[Message],
    tools: Sequence[Tool] = (),
    variables: Mapping[str, Any] | None = None,
    field: str = "messages",
) -> Prompt:
    """`variables`: of the template, beyond the usual ones. `field`: the name of the messages in the request, for errors. Raises
    ApiError."""
    _check_names(tokenizer, messages, field)
    tool_template = tokenizer.tool_template or ToolTemplate()
    entries = [tool_template.tool_entry(tool) for tool in tools] if tokenizer.tool_template else []
    try:
        prompt = _render_first(tokenizer, tool_template, _candidates(tokenizer, messages, tools), variables, entries)
        return prompt if tokenizer.tool_template else replace(prompt, delimiters=result_delimiters(messages))
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter) as error:
        raise bad_request(field, str(error)) from error


def count_characters(messages: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """Approximate length of the prompt."""
    calls = (call for message in messages if isinstance(message, Assistant) for call in message.tool_calls)
    arguments, texts = sum(len(call.arguments) for call in calls), sum(len(message.text) for message in messages)
    return texts + arguments + sum(len(tool.description) + len(json.dumps(tool.parameters, default=dict)) for tool in tools)


def _candidates(tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool]) -> list[Sequence[Message]]:
    """Equivalent forms of the conversation, in order of preference; the template may refuse some."""
    if tokenizer.tool_template is not None:
        return [list(split_parallel_calls(messages)) if tokenizer.tool_template.single_call else messages]
    plain = list(with_tools_as_text(messages, tools))
    added_messages = tools or any(isinstance(message, ToolResult) for message in messages)
    return [plain, merge_turns(plain)] if added_messages else [plain]


def _render_first(
    tokenizer: ChatTokenizer,
    tool_template: ToolTemplate,
    candidates: Sequence[Sequence[Message]],
    variables: Mapping[str, Any] | None,
    tools: Sequence[TemplateMessage],
) -> Prompt:
    """The first candidate that the template accepts. Raises TemplateRefused with its error about the first candidate."""
    first_error: TemplateRefused | None = None
    for messages in candidates:
        try:
            return tokenizer.encode_chat([_template_message(tokenizer, tool_template, m) for m in messages], variables, tools)
        except TemplateRefused as error:
            first_error = first_error or error
    assert first_error is not None
    raise first_error


def _template_message(tokenizer: ChatTokenizer, tool_template: ToolTemplate, message: Message) -> TemplateMessage:
    match message:
        case System():
            return _with_name({"role": "system", "content": message.text}, message.name)
        case User():
            return _with_name({"role": "user", "content": message.text}, message.name)
        case ToolResult():
            return tool_template.tool_message(message)
        case Assistant():
            split = split_reasoning(message.text) if tokenizer.has_reasoning else ReasoningSplit(answer=message.text)
            reasoning = message.reasoning or split.reasoning
            fields = {tokenizer.dialect.reasoning_field: reasoning} if reasoning else {}
            calls = tool_template.assistant_fields(replace(message, text=split.answer))
            return _with_name({"role": "assistant", "content": split.answer, **fields, **calls}, message.name)


def _with_name(message: dict[str, Any], name: str | None) -> TemplateMessage:
    return message if name is None else {**message, "name": name}


def _check_names(tokenizer: ChatTokenizer, messages: Sequence[Message], field: str) -> None:
    """Raises ApiError if a message has a name and the template does not render names."""
    if tokenizer.template is not None and tokenizer.template.renders_field("name"):
        return
    for i, message in enumerate(messages):
        if not isinstance(message, ToolResult) and message.name is not None:
            raise bad_request(f"{field}.{i}.name", f"{field}.{i}.name: this model's chat template has no place for names")
