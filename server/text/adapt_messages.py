"""Rewrites a conversation for chat templates that do not support tools, system messages, or several calls in one message."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from server.core.messages import Assistant, Message, System, Tool, ToolResult, User
from server.text.tool_calls.tools_as_text import describe_tools, example_messages, format_calls, format_results, result_delimiter


def with_tools_as_text(messages: Sequence[Message], tools: Sequence[Tool]) -> Iterator[System | User | Assistant]:
    """The same conversation with tools, calls and results as text in its messages."""
    rest = list(messages)
    if tools:
        system = [rest.pop(0).text] if rest and isinstance(rest[0], System) else []
        yield System(text="\n\n".join([*system, describe_tools(tools)]))
        yield from example_messages(tools)
    for group in _group_results(rest):
        if isinstance(group, list):
            yield User(text=format_results(group))
        elif isinstance(group, Assistant) and group.tool_calls:
            yield replace(group, text=format_calls(group.text, group.tool_calls), tool_calls=())
        else:
            yield group


def result_delimiters(messages: Sequence[Message]) -> tuple[str, ...]:
    """The tags between which `with_tools_as_text` puts results."""
    names = (result_delimiter(group) for group in _group_results(messages) if isinstance(group, list))
    return tuple(tag for name in names for tag in (f"<{name}>", f"</{name}>"))


def _group_results(messages: Sequence[Message]) -> Iterator[System | User | Assistant | list[ToolResult]]:
    """The messages, with consecutive results as one list."""
    for is_result, group in groupby(messages, lambda message: isinstance(message, ToolResult)):
        if is_result:
            yield [message for message in group if isinstance(message, ToolResult)]
        else:
            yield from (message for message in group if not isinstance(message, ToolResult))


def merge_turns(messages: Sequence[System | User | Assistant]) -> list[System | User | Assistant]:
    """For templates that take only alternating user and assistant messages: system messages become part of the next user message,
    consecutive messages of one role are joined."""
    turns: list[System | User | Assistant] = []
    for original in messages:
        message = User(text=original.text) if isinstance(original, System) else original
        if turns and type(turns[-1]) is type(message):
            turns[-1] = replace(turns[-1], text=f"{turns[-1].text}\n\n{message.text}")
        else:
            turns.append(message)
    return turns


def split_parallel_calls(messages: Sequence[Message]) -> Iterator[Message]:
    """For templates that take one call per message: each call gets its own message, followed by its result."""
    results = {message.call_id: message for message in messages if isinstance(message, ToolResult)}
    parallel = {call.id for m in messages if isinstance(m, Assistant) and len(m.tool_calls) > 1 for call in m.tool_calls}
    for message in messages:
        if isinstance(message, Assistant) and len(message.tool_calls) > 1:
            for i, call in enumerate(message.tool_calls):
                yield replace(message, text="" if i else message.text, reasoning="" if i else message.reasoning, tool_calls=(call,))
                yield from [results[call.id]] if call.id in results else []
        elif not (isinstance(message, ToolResult) and message.call_id in parallel):
            yield message
