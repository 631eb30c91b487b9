"""<tool_call>{"name": ..., "arguments": {...}}</tool_call>, each part on a line of its own: Hermes, Qwen 2.5 and 3, and whoever
imitates them."""

import json

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.lark import CallLayout, GrammarBuilder, arguments_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import CallEmitter, Syntax

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def _read(scan: Scanner, voice: CallEmitter) -> Steps[None]:
    """Some models write several calls between two marks, or a list of them, or no end mark."""
    yield from scan.expect(OPEN)
    yield from scan.white()
    listed = yield from scan.take("[")
    yield from scan.white()
    yield from json_calls.call(scan, voice)
    while (yield from _goes_on(scan)):
        yield from json_calls.call(scan, voice)
    if listed:
        yield from scan.take("]")
        yield from scan.white()
    yield from scan.take(CLOSE)


def _goes_on(scan: Scanner) -> Steps[bool]:
    yield from scan.white()
    if (yield from scan.take(",")):
        yield from scan.white()
    return (yield from scan.peek()) == "{"


def _body(tool: Tool, rules: GrammarBuilder) -> str:
    begin, end = f'\n{{"name": {json.dumps(tool.name)}, "arguments": ', f"}}\n{CLOSE}"
    return f"{rules.text(begin)} {arguments_rule(tool, rules)} {rules.text(end)}"


HERMES = ToolCallFormat(
    name="hermes",
    markers=(OPEN, CLOSE),
    syntax=Syntax(read=_read, openers=(OPEN,)),
    layout=CallLayout(trigger=OPEN, separator=f"\n{OPEN}"),
    call_rule=_body,
)
