"""What has been said, as chat templates know it. Where a template knows no tools, they are told in words
(server/text/tool_calls/dialects/generic.py)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from server.core.errors import bad_request
from server.core.messages import Assistant, Message, System, Tool, ToolResult, User
from server.text import reasoning
from server.text.control_tokens import NoUnusedCharacter
from server.text.template import TemplateMessage, TemplateRefused
from server.text.tokenizer import ChatTokenizer, NoChatTemplate, Prompt
from server.text.tool_calls.dialects import generic
from server.text.tool_calls.template_probe import ToolTemplate


def render(
    text: ChatTokenizer,
    sayings: Sequence[Message],
    tools: Sequence[Tool] = (),
    variables: Mapping[str, Any] | None = None,
    field: str = "messages",
) -> Prompt:
    """`field`: what the request calls its messages. Raises ApiError."""
    _check_names(text, sayings, field)
    manner = text.tool_template or ToolTemplate()
    schemas = [manner.tool_entry(tool) for tool in tools] if text.tool_template else []
    try:
        prompt = _render_first(text, manner, _candidates(text, sayings, tools), variables, schemas)
        return prompt if text.tool_template else replace(prompt, fences=_delimiters(sayings))
    except (NoChatTemplate, TemplateRefused, NoUnusedCharacter) as error:
        raise bad_request(field, str(error)) from error


def count_characters(sayings: Sequence[Message], tools: Sequence[Tool] = ()) -> int:
    """In characters, nearly."""
    calls = (call for saying in sayings if isinstance(saying, Assistant) for call in saying.tool_calls)
    called, told = sum(len(call.arguments) for call in calls), sum(len(saying.text) for saying in sayings)
    return told + called + sum(len(tool.description) + len(json.dumps(tool.parameters, default=dict)) for tool in tools)


def _candidates(text: ChatTokenizer, sayings: Sequence[Message], tools: Sequence[Tool]) -> list[Sequence[Message]]:
    """How the conversation can be put, the best way first."""
    if text.tool_template is not None:
        return [list(split_parallel_calls(sayings)) if text.tool_template.single_call else sayings]
    plain = list(tools_as_text(sayings, tools))
    ours = tools or any(isinstance(said, ToolResult) for said in sayings)
    return [plain, merge_turns(plain)] if ours else [plain]


def _render_first(
    text: ChatTokenizer,
    manner: ToolTemplate,
    ways: Sequence[Sequence[Message]],
    variables: Mapping[str, Any] | None,
    tools: Sequence[TemplateMessage],
) -> Prompt:
    """The first that the template takes. What it says of the first is what the client is told."""
    refused: TemplateRefused | None = None
    for way in ways:
        try:
            return text.encode_chat([_message(text, manner, saying) for saying in way], variables, tools)
        except TemplateRefused as error:
            refused = refused or error
    assert refused is not None
    raise refused


def tools_as_text(sayings: Sequence[Message], tools: Sequence[Tool]) -> Iterator[System | User | Assistant]:
    """The same without tools, calls and results: these stand in the messages as words."""
    rest = list(sayings)
    if tools:
        told = [rest.pop(0).text] if rest and isinstance(rest[0], System) else []
        yield System(text="\n\n".join([*told, generic.described(tools)]))
        yield from generic.examples(tools)
    for group in _group_results(rest):
        if isinstance(group, list):
            yield User(text=generic.results(group))
        else:
            yield _calls_as_text(group)


def _group_results(sayings: Sequence[Message]) -> Iterator[System | User | Assistant | list[ToolResult]]:
    """Results that stand side by side together."""
    for results, group in groupby(sayings, lambda saying: isinstance(saying, ToolResult)):
        if results:
            yield [saying for saying in group if isinstance(saying, ToolResult)]
        else:
            yield from (saying for saying in group if not isinstance(saying, ToolResult))


def _delimiters(sayings: Sequence[Message]) -> tuple[str, ...]:
    found = (generic.fence(group) for group in _group_results(sayings) if isinstance(group, list))
    return tuple(mark for name in found for mark in (f"<{name}>", f"</{name}>"))


def _calls_as_text(saying: System | User | Assistant) -> System | User | Assistant:
    if isinstance(saying, Assistant) and saying.tool_calls:
        return replace(saying, text=generic.called(saying.text, saying.tool_calls), tool_calls=())
    return saying


def merge_turns(sayings: Sequence[System | User | Assistant]) -> list[System | User | Assistant]:
    """For templates that take users and assistants only, and in turns: instructions stand before what the user says first."""
    turns: list[System | User | Assistant] = []
    for saying in sayings:
        said = User(text=saying.text) if isinstance(saying, System) else saying
        if turns and type(turns[-1]) is type(said):
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n\n{said.text}")
        else:
            turns.append(said)
    return turns


def split_parallel_calls(sayings: Sequence[Message]) -> Iterator[Message]:
    """For templates that take one call in a message: each stands in a message of its own, and its result behind it."""
    results = {said.call_id: said for said in sayings if isinstance(said, ToolResult)}
    calls = {call.id for said in sayings if isinstance(said, Assistant) and len(said.tool_calls) > 1 for call in said.tool_calls}
    for said in sayings:
        if isinstance(said, Assistant) and len(said.tool_calls) > 1:
            for at, call in enumerate(said.tool_calls):
                yield replace(said, text="" if at else said.text, reasoning="" if at else said.reasoning, tool_calls=(call,))
                yield from [results[call.id]] if call.id in results else []
        elif not (isinstance(said, ToolResult) and said.call_id in calls):
            yield said


def _message(text: ChatTokenizer, manner: ToolTemplate, saying: Message) -> TemplateMessage:
    match saying:
        case System():
            return _with_name({"role": "system", "content": saying.text}, saying.name)
        case User():
            return _with_name({"role": "user", "content": saying.text}, saying.name)
        case ToolResult():
            return manner.tool_message(saying)
        case Assistant():
            said = reasoning.split_reasoning(saying.text) if text.has_reasoning else reasoning.ReasoningSplit(answer=saying.text)
            thought = saying.reasoning or said.reasoning
            spoken = replace(saying, text=said.answer)
            thoughts = {text.dialect.reasoning_field: thought} if thought else {}
            return _with_name({"role": "assistant", "content": said.answer, **thoughts, **manner.assistant_fields(spoken)}, saying.name)


def _with_name(message: dict[str, Any], name: str | None) -> TemplateMessage:
    return message if name is None else {**message, "name": name}


def _check_names(text: ChatTokenizer, sayings: Sequence[Message], field: str) -> None:
    """Raises ApiError where the template has no place for them."""
    if text.template is not None and text.template.renders_field("name"):
        return
    for i, saying in enumerate(sayings):
        if not isinstance(saying, ToolResult) and saying.name is not None:
            raise bad_request(f"{field}.{i}.name", f"{field}.{i}.name: this model's chat template has no place for names")
