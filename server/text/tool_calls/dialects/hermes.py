"""Hermes, Qwen 2.5 and 3, and many others: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, each part on its own line."""

from server.core.messages import Tool
from server.text.tool_calls.dialects.base import ToolCallFormat
from server.text.tool_calls.grammar.builder import GrammarBuilder
from server.text.tool_calls.grammar.lark import CallLayout, json_call_rule
from server.text.tool_calls.parsing import json_calls
from server.text.tool_calls.parsing.call_emitter import CallEmitter
from server.text.tool_calls.parsing.scanner import Scanner, Steps
from server.text.tool_calls.parsing.turn_parser import Syntax

OPEN, CLOSE = "<tool_call>", "</tool_call>"


def _read(scanner: Scanner, emitter: CallEmitter) -> Steps[None]:
    """Some models write several calls between the tags, or a list of calls, or no closing tag."""
    yield from scanner.expect(OPEN)
    yield from scanner.whitespace()
    is_list = yield from scanner.take("[")
    yield from scanner.whitespace()
    yield from json_calls.calls(scanner, emitter, ",")
    if is_list:
        yield from scanner.take("]")
        yield from scanner.whitespace()
    yield from scanner.take(CLOSE)


def _call_rule(tool: Tool, grammar: GrammarBuilder) -> str:
    return json_call_rule(tool, grammar, "arguments", before="\n", after=f"\n{CLOSE}")


HERMES = ToolCallFormat(
    name="hermes",
    markers=(OPEN, CLOSE),
    syntax=Syntax(read=_read, openers=(OPEN,)),
    layout=CallLayout(trigger=OPEN, separator=f"\n{OPEN}"),
    call_rule=_call_rule,
)
